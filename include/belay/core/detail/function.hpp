// SPDX-License-Identifier: MIT
/// \file belay/core/detail/function.hpp
/// Function: a callable stored inline, so that timers and simulated events do not allocate.
#pragma once

#include <cstddef>      // std::size_t, std::max_align_t
#include <new>          // placement new
#include <type_traits>  // std::decay_t, std::invoke_result_t, std::is_invocable_r_v, std::is_void_v
#include <utility>      // std::forward, std::move

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

template <class Signature>
class Function;

/// A move-only callable. It stores a callable inline that fits in 48 bytes and moves without
/// throwing.
///
/// Thread safety: distinct objects safe.
template <class R, class... A>
class Function<R(A...)> {
    static constexpr std::size_t inline_bytes = 48;

    struct Ops {
        R (*call)(void*, A&&...);
        void (*move)(void* from, void* to) noexcept;
        void (*destroy)(void*) noexcept;  // null: there is nothing to do
    };
    template <class F>
    static constexpr bool fits =
        sizeof(F) <= inline_bytes && alignof(F) <= alignof(std::max_align_t) &&
        std::is_nothrow_move_constructible_v<F>;

    template <class F>
    struct Inside {
        static F& get(void* at) noexcept { return *std::launder(static_cast<F*>(at)); }
        static R call(void* at, A&&... a) { return get(at)(std::forward<A>(a)...); }
        static void move(void* from, void* to) noexcept {
            ::new (to) F(std::move(get(from)));
            get(from).~F();
        }
        static void destroy(void* at) noexcept { get(at).~F(); }
        static constexpr Ops ops{&call, &move,
                                 std::is_trivially_destructible_v<F> ? nullptr : &destroy};
    };
    template <class F>
    struct Outside {
        static F*& get(void* at) noexcept { return *std::launder(static_cast<F**>(at)); }
        static R call(void* at, A&&... a) { return (*get(at))(std::forward<A>(a)...); }
        static void move(void* from, void* to) noexcept { ::new (to) F*(get(from)); }
        static void destroy(void* at) noexcept { delete get(at); }
        static constexpr Ops ops{&call, &move, &destroy};
    };

public:
    Function() noexcept = default;

    template <class F>
        requires(!std::is_same_v<std::decay_t<F>, Function> &&
                 std::is_invocable_r_v<R, std::decay_t<F>&, A...>)
    Function(F&& f) {
        emplace(std::forward<F>(f));
    }
    Function(Function&& other) noexcept { take(other); }
    Function& operator=(Function&& other) noexcept {
        if (this != &other) {
            reset();
            take(other);
        }
        return *this;
    }
    ~Function() { reset(); }

    /// Stores a callable without a move.   Pre: empty.
    template <class F>
        requires(!std::is_same_v<std::decay_t<F>, Function> &&
                 std::is_invocable_r_v<R, std::decay_t<F>&, A...>)
    void emplace(F&& f) {
        using Kept = std::decay_t<F>;
        static_assert(!std::is_void_v<R> || std::is_void_v<std::invoke_result_t<Kept&, A...>>,
                      "Function: a function that is called later must return void, because a "
                      "result would be ignored and a coroutine would never run");
        if constexpr (fits<Kept>) {
            ::new (static_cast<void*>(storage_)) Kept(std::forward<F>(f));
            ops_ = &Inside<Kept>::ops;
        } else {
            ::new (static_cast<void*>(storage_)) Kept*(new Kept(std::forward<F>(f)));
            ops_ = &Outside<Kept>::ops;
        }
    }

    /// Pre: not empty.
    R operator()(A... a) {
        BELAY_PRECONDITION(ops_ != nullptr, "Function::operator(): the function must not be empty");
        return ops_->call(storage_, std::forward<A>(a)...);
    }
    [[nodiscard]] explicit operator bool() const noexcept { return ops_ != nullptr; }

    void reset() noexcept {
        // Becomes empty before it destroys the callable, because that destructor may call reset()
        // again.
        const Ops* const ops = std::exchange(ops_, nullptr);
        if (ops != nullptr && ops->destroy != nullptr) ops->destroy(storage_);
    }

private:
    void take(Function& other) noexcept {
        ops_ = std::exchange(other.ops_, nullptr);
        if (ops_ != nullptr) ops_->move(other.storage_, storage_);
    }

    alignas(std::max_align_t) unsigned char storage_[inline_bytes];
    const Ops* ops_ = nullptr;
};

}}}  // namespace belay::detail
