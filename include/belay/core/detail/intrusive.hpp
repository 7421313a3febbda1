// SPDX-License-Identifier: MIT
/// \file belay/core/detail/intrusive.hpp
/// Counted and Ref: shared ownership in one pointer, without the weight of <memory>.
#pragma once

#include <atomic>   // std::atomic
#include <cstdint>  // std::uint32_t
#include <utility>  // std::exchange, std::forward

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Counts its references; derive from it to be held by Ref.   Thread safety: any thread.
class Counted {
public:
    Counted() noexcept = default;
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;

protected:
    ~Counted() = default;

private:
    template <class T>
    friend class Ref;
    std::atomic<std::uint32_t> count_{1};
};

/// A shared reference to a Counted object; the last one deletes it, or calls its `end()` if it has
/// one.
///
/// Thread safety: distinct objects safe, also when they refer to one Counted.
template <class T>
class Ref {
public:
    Ref() noexcept = default;
    Ref(const Ref& other) noexcept : to_{other.to_} {
        // A new reference is made from a living one, so nothing needs to be ordered here.
        if (to_ != nullptr) to_->count_.fetch_add(1, std::memory_order_relaxed);
    }
    Ref(Ref&& other) noexcept : to_{std::exchange(other.to_, nullptr)} {}
    Ref& operator=(Ref other) noexcept {
        std::swap(to_, other.to_);
        return *this;
    }
    ~Ref() { reset(); }

    /// Makes a new object.   Throws: std::bad_alloc, and what the constructor throws.
    template <class... Args>
    [[nodiscard]] static Ref make(Args&&... args) {
        Ref r;
        r.to_ = new T(std::forward<Args>(args)...);
        return r;
    }

    void reset() noexcept {
        T* const to = std::exchange(to_, nullptr);
        // Release: what this owner did happens before the deletion; acquire: the deleter sees it.
        if (to == nullptr || to->count_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
        if constexpr (requires { to->end(); }) {
            to->end();
        } else {
            delete to;
        }
    }

    [[nodiscard]] T* get() const noexcept { return to_; }
    [[nodiscard]] T* operator->() const noexcept { return to_; }
    [[nodiscard]] T& operator*() const noexcept { return *to_; }
    [[nodiscard]] explicit operator bool() const noexcept { return to_ != nullptr; }

    /// Gives the reference up as a raw pointer, to be taken back by `adopt`.
    [[nodiscard]] T* release() noexcept { return std::exchange(to_, nullptr); }
    /// Takes back what `release` gave up.
    [[nodiscard]] static Ref adopt(T* raw) noexcept {
        Ref r;
        r.to_ = raw;
        return r;
    }
    /// One more reference to a living object.
    [[nodiscard]] static Ref share(T* raw) noexcept {
        raw->count_.fetch_add(1, std::memory_order_relaxed);
        return adopt(raw);
    }

private:
    T* to_ = nullptr;
};

}}}  // namespace belay::detail
