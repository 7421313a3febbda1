// SPDX-License-Identifier: MIT
/// \file belay/core/detail/memory.hpp
/// Ref, EventRing and IntrusiveList: what belay needs of <memory>, <deque> and <list>, whose parse
/// time every user would pay. has_memory_for: for callers that can continue without memory.
#pragma once

#include <atomic>       // std::atomic
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint32_t
#include <new>          // placement new, std::align_val_t, std::bad_alloc
#include <type_traits>  // std::is_nothrow_move_constructible_v
#include <utility>      // std::exchange, std::forward, std::move

#include <belay/core/assert.hpp>
#include <belay/core/detail/scope_exit.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Calls `f`, which may throw only std::bad_alloc.   Returns: false if there was no memory.
template <class F>
bool has_memory_for(F&& f) noexcept {
#if defined(__cpp_exceptions)
    try {
        f();
    } catch (const std::bad_alloc&) {
        return false;
    }
#else
    f();
#endif
    return true;
}

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

/// A queue of events. It allocates only while it grows, so a steady state allocates nothing.
///
/// Thread safety: distinct objects safe.   Complexity: amortised O(1) each.
template <class E>
class EventRing {
    static_assert(std::is_nothrow_move_constructible_v<E>,
                  "EventRing: E must move without throwing");

public:
    EventRing() noexcept = default;
    EventRing(const EventRing&) = delete;
    EventRing& operator=(const EventRing&) = delete;
    ~EventRing() {
        clear();
        if (slots_ != nullptr) release(slots_);
    }

    /// Adds at the back.   Throws: std::bad_alloc; `event` is then unchanged.
    void push(E&& event) {
        emplace([&]() -> E { return std::move(event); });
    }
    /// The same for a caller that can continue without memory.   Returns: false if there is none.
    [[nodiscard]] bool try_push(E&& event) noexcept {
        return has_memory_for([&] { push(std::move(event)); });
    }
    /// Constructs the result of `make()` directly in its slot. Moving an event right after its
    /// members are written would stall on those writes. If there is no memory, `make` is not
    /// called.
    template <class F>
    void emplace(F&& make) {
        if (size_ == capacity_) grow();
        ::new (static_cast<void*>(slots_ + ((first_ + size_) & (capacity_ - 1)))) E(make());
        ++size_;
    }

    /// Removes and returns the front.   Pre: !empty().
    [[nodiscard]] E pop() noexcept {
        BELAY_INVARIANT(size_ != 0, "EventRing::pop: the ring must not be empty");
        const ScopeExit leave{[this] {
            slots_[first_].~E();
            first_ = (first_ + 1) & (capacity_ - 1);
            --size_;
        }};
        return std::move(slots_[first_]);
    }

    /// The i-th from the front.   Pre: i < size().
    [[nodiscard]] E& operator[](std::size_t i) noexcept {
        return slots_[(first_ + static_cast<std::uint32_t>(i)) & (capacity_ - 1)];
    }

    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    void clear() noexcept {
        while (!empty()) static_cast<void>(pop());
    }

    void swap(EventRing& other) noexcept {
        std::swap(slots_, other.slots_);
        std::swap(capacity_, other.capacity_);
        std::swap(first_, other.first_);
        std::swap(size_, other.size_);
    }

private:
    static void release(E* slots) noexcept {
        ::operator delete(static_cast<void*>(slots), std::align_val_t{alignof(E)});
    }
    void grow() {
        const std::size_t capacity = capacity_ == 0 ? 2 : std::size_t{capacity_} * 2;
        // A capacity above the limit requests an impossible size, so that operator new throws.
        constexpr std::size_t too_much = ~std::size_t{0} / 2 + 1;
        const std::size_t bytes = capacity <= capacity_max ? capacity * sizeof(E) : too_much;
        E* const slots = static_cast<E*>(::operator new(bytes, std::align_val_t{alignof(E)}));
        const std::uint32_t size = size_;
        for (std::size_t i = 0; i < size; ++i) ::new (static_cast<void*>(slots + i)) E(pop());
        if (slots_ != nullptr) release(slots_);
        slots_ = slots;
        capacity_ = static_cast<std::uint32_t>(capacity);
        first_ = 0;
        size_ = size;
    }

    static constexpr std::size_t capacity_max = std::size_t{1} << 31;

    // Small: an idle connection has four of these.
    E* slots_ = nullptr;
    std::uint32_t capacity_ = 0;
    std::uint32_t first_ = 0;
    std::uint32_t size_ = 0;
};

/// Elements in order of arrival, none of which it owns. An element has the pointers `previous` and
/// `next`, and is in at most one such list.
///
/// Thread safety: one thread.   Complexity: O(1).   Errors: none.
template <class T>
class IntrusiveList {
public:
    /// Returns the first element, or null. `next` of the last element is null.
    [[nodiscard]] constexpr T* front() const noexcept { return first_; }

    /// Adds at the back.   Pre: the element is in no list.
    constexpr void push(T& element) noexcept {
        element.previous = last_;
        element.next = nullptr;
        (last_ != nullptr ? last_->next : first_) = &element;
        last_ = &element;
    }
    /// Pre: the element is in this list.
    constexpr void remove(T& element) noexcept {
        (element.previous != nullptr ? element.previous->next : first_) = element.next;
        (element.next != nullptr ? element.next->previous : last_) = element.previous;
        element.previous = element.next = nullptr;
    }

private:
    T* first_ = nullptr;
    T* last_ = nullptr;
};

}}}  // namespace belay::detail
