// SPDX-License-Identifier: MIT
/// \file belay/core/detail/intrusive.hpp
/// Counted and Ref: shared ownership with a single pointer, without the parse time of <memory>.
#pragma once

#include <atomic>   // std::atomic
#include <cstdint>  // std::uint32_t
#include <utility>  // std::exchange, std::forward

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A base class that counts its references, so that Ref can hold it.   Thread safety: any thread.
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

/// A shared reference to a Counted object. The last one deletes the object, or calls its `end()` if
/// it has one.
///
/// Thread safety: distinct objects safe, also when they refer to one Counted.
template <class T>
class Ref {
public:
    Ref() noexcept = default;
    Ref(const Ref& other) noexcept : to_{other.to_} {
        // A new reference is copied from an existing one, so the increment needs no ordering.
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
        // Release: this owner's writes happen before the deletion. Acquire: the deleting owner sees
        // them.
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

    /// Returns the reference as a raw pointer. Pass it to `adopt` later.
    [[nodiscard]] T* release() noexcept { return std::exchange(to_, nullptr); }
    /// Takes over a reference that `release` returned.
    [[nodiscard]] static Ref adopt(T* raw) noexcept {
        Ref r;
        r.to_ = raw;
        return r;
    }
    /// Returns another reference to an object that is still referenced.
    [[nodiscard]] static Ref share(T* raw) noexcept {
        raw->count_.fetch_add(1, std::memory_order_relaxed);
        return adopt(raw);
    }

private:
    T* to_ = nullptr;
};

}}}  // namespace belay::detail
