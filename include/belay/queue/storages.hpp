// SPDX-License-Identifier: MIT
/// \file belay/queue/storages.hpp
/// Ring: a bounded queue in one block of memory, for one thread.
/// Deque: a queue that allocates memory as it grows, for one thread.
#pragma once

#include <bit>          // std::bit_ceil, std::bit_floor
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint64_t
#include <new>          // std::align_val_t, placement new, std::nothrow
#include <optional>     // std::optional
#include <type_traits>  // std::is_nothrow_move_constructible_v
#include <utility>      // std::exchange, std::swap, std::move

#include <belay/core/assert.hpp>
#include <belay/queue/storage_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The value of a Ring's template argument for a capacity that the constructor takes.
inline constexpr std::size_t dynamic_capacity = 0;

namespace detail {

/// The requirements of every ring on its values. For a type that does not meet them, store a
/// std::unique_ptr.
template <class T>
concept RingValue = std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T>;

/// The distance of the sides of a ring that threads share: two cache lines, because processors
/// fetch them in pairs.
inline constexpr std::size_t side_bytes = 128;

[[nodiscard]] inline std::size_t checked_capacity(std::size_t capacity) noexcept {
    BELAY_OPTION(capacity > 0 && std::uint64_t{capacity} <= (std::uint64_t{1} << 48),
                 "Ring::Ring: the capacity must be from 1 to 2^48");
    return capacity;
}

/// The begin and the end of the values, as counters.
struct RingEnds {
    std::size_t head;
    std::size_t tail;
};

/// Returns how many values are between two counters, at least one of which may have been read while
/// they moved on.
[[nodiscard]] constexpr std::size_t held_between(RingEnds ends, std::size_t capacity) noexcept {
    const std::size_t held = ends.tail - ends.head;
    if (held <= capacity) return held;
    return held > ~std::size_t{0} / 2 ? 0 : capacity;
}

/// Memory for values in the object itself.
template <class T, std::size_t N>
class RingSlots {
public:
    [[nodiscard]] static constexpr std::size_t capacity() noexcept { return N; }
    [[nodiscard]] T* at(std::size_t i) noexcept {
        return reinterpret_cast<T*>(bytes_) + (i & (std::bit_ceil(N) - 1));
    }

private:
    // Initialised for GCC 12, which otherwise treats moves of empty slots as uses of them.
    alignas(T) std::byte bytes_[sizeof(T) * std::bit_ceil(N)]{};
};

/// Allocated memory for values.
template <class T>
class RingSlots<T, dynamic_capacity> {
public:
    /// Pre: 0 < capacity <= 2^48.   Throws: std::bad_alloc.
    explicit RingSlots(std::size_t capacity)
        : slots_{allocate(std::bit_ceil(checked_capacity(capacity)))},
          capacity_{capacity},
          mask_{std::bit_ceil(capacity) - 1} {}
    RingSlots(RingSlots&& other) noexcept
        : slots_{std::exchange(other.slots_, nullptr)},
          capacity_{std::exchange(other.capacity_, 0)},
          mask_{other.mask_} {}
    RingSlots& operator=(RingSlots&& other) noexcept {
        std::swap(slots_, other.slots_);
        std::swap(capacity_, other.capacity_);
        std::swap(mask_, other.mask_);
        return *this;
    }
    ~RingSlots() { ::operator delete(slots_, alignment); }

    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
    /// Returns the number of slots, a power of two, minus one.
    [[nodiscard]] std::size_t mask() const noexcept { return mask_; }
    [[nodiscard]] T* at(std::size_t i) noexcept { return slots_ + (i & mask_); }

private:
    // Whole cache lines. A value of 64 bytes is in one line, so the sides of a ring do not share
    // it. No line is shared with memory next to the slots.
    static constexpr std::align_val_t alignment{alignof(T) < 64 ? 64 : alignof(T)};

    [[nodiscard]] static T* allocate(std::size_t slots) {
        // If the product would overflow, asks for the largest size, which no system can allocate.
        constexpr std::size_t most = ~std::size_t{0} / 2;
        const std::size_t bytes = slots <= most / sizeof(T) ? slots * sizeof(T) : most;
        return static_cast<T*>(::operator new(bytes, alignment));
    }

    T* slots_;
    std::size_t capacity_;
    std::size_t mask_;
};

}  // namespace detail

/// A first-in, first-out queue of at most `N` values, or of the capacity given to its constructor.
///
/// The ring allocates nothing after construction, and values never move while they are in it. It
/// holds slots for the next power of two; those beyond the capacity stay unused.
///
/// Models:        LeasableLike.
/// Thread safety: distinct objects safe; it has no atomics.
/// Complexity:    O(1) each; moving a Ring that holds its values itself moves each of them.
template <class T, std::size_t N = dynamic_capacity>
class Ring {
    static_assert(detail::RingValue<T>,
                  "Ring: T must be movable and destructible without throwing");

public:
    using value_type = T;

    /// Holds its values in the object itself.
    Ring() noexcept
        requires(N != dynamic_capacity)
    = default;
    /// Allocates the slots.   Pre: 0 < capacity <= 2^48.   Throws: std::bad_alloc.
    explicit Ring(std::size_t capacity)
        requires(N == dynamic_capacity)
        : slots_{capacity} {}
    Ring(Ring&& other) noexcept
        requires(N != dynamic_capacity)
    {
        take(other);
    }
    Ring(Ring&& other) noexcept
        requires(N == dynamic_capacity)
        : head_{std::exchange(other.head_, 0)},
          tail_{std::exchange(other.tail_, 0)},
          slots_{std::move(other.slots_)} {}
    Ring& operator=(Ring&& other) noexcept {
        if (this == &other) return *this;
        clear();
        if constexpr (N == dynamic_capacity) {
            slots_ = std::move(other.slots_);
            head_ = std::exchange(other.head_, 0);
            tail_ = std::exchange(other.tail_, 0);
        } else {
            take(other);
        }
        return *this;
    }
    ~Ring() { clear(); }

    /// Adds a value at the back. If the ring is full, returns false and does not change `value`.
    [[nodiscard]] bool try_push(T&& value) noexcept {
        // A copy: as far as the compiler knows, the value may lie over tail_.
        const std::size_t tail = tail_;
        if (tail - head_ == slots_.capacity()) return false;
        // The index first, here and in try_pop: it then needs no second register, which saves a
        // tenth of the time. Nothing throws in between.
        tail_ = tail + 1;
        ::new (static_cast<void*>(slots_.at(tail))) T(std::move(value));
        return true;
    }
    /// Adds a copy of a value, which is made first.   Throws: what copying throws; then nothing was
    /// added.
    [[nodiscard]] bool try_push(const T& value) noexcept(std::is_nothrow_copy_constructible_v<T>)
        requires std::is_copy_constructible_v<T>
    {
        return size() != slots_.capacity() && try_push(T(value));
    }

    /// Takes the oldest value; returns std::nullopt if the ring is empty.
    [[nodiscard]] std::optional<T> try_pop() noexcept {
        const std::size_t head = head_;
        if (head == tail_) return std::nullopt;
        head_ = head + 1;
        T* const slot = slots_.at(head);
        std::optional<T> value{std::move(*slot)};
        slot->~T();
        return value;
    }

    /// Returns the oldest value, or null if the ring is empty. The value does not move until it is
    /// taken.
    [[nodiscard]] T* front() noexcept { return head_ == tail_ ? nullptr : slots_.at(head_); }
    /// Removes the oldest value.   Pre: there is one.
    void ack() noexcept {
        BELAY_PRECONDITION(head_ != tail_, "Ring::ack: the ring must not be empty");
        slots_.at(head_)->~T();
        ++head_;
    }
    /// Does nothing: the oldest value stays first until it is removed.
    void nack() noexcept {}

    /// Returns how many values are in the ring.
    [[nodiscard]] std::size_t size() const noexcept { return tail_ - head_; }
    /// Returns the largest number of values.
    [[nodiscard]] std::size_t capacity() const noexcept { return slots_.capacity(); }

private:
    void take(Ring& other) noexcept {
        // A count instead of a test for empty: otherwise GCC 12 warns of reads of empty slots.
        for (std::size_t left = other.size(); left != 0; --left) {
            static_cast<void>(try_push(std::move(*other.slots_.at(other.head_))));
            other.ack();
        }
    }
    void clear() noexcept {
        while (head_ != tail_) ack();
    }

    // Both only grow. The slot is the remainder, so that full and empty differ.
    std::size_t head_ = 0;
    std::size_t tail_ = 0;
    detail::RingSlots<T, N> slots_;
};

/// A first-in, first-out queue of at most `capacity` values, in blocks of about 1 KiB.
///
/// It keeps one empty block for the next use, so a queue whose size varies around a level allocates
/// nothing. Values never move while they are in it.
///
/// Models:        LeasableLike.
/// Thread safety: distinct objects safe.
/// Complexity:    O(1) each.
template <class T>
class Deque {
    static_assert(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T>,
                  "Deque: T must be movable and destructible without throwing");

public:
    using value_type = T;

    /// Constructs a deque that only memory limits.
    Deque() noexcept : Deque{no_limit} {}
    /// Pre: capacity > 0.
    explicit Deque(std::size_t capacity) noexcept : capacity_{capacity}, full_at_{capacity} {
        BELAY_OPTION(capacity > 0, "Deque::Deque: the capacity must be > 0");
    }
    Deque(Deque&& other) noexcept : capacity_{other.capacity_}, full_at_{capacity_} { swap(other); }
    Deque& operator=(Deque&& other) noexcept {
        Deque moved{std::move(other)};
        swap(moved);
        return *this;
    }
    ~Deque() {
        while (size() != 0) ack();
        delete first_;
        delete spare_;
    }

    /// Adds a value at the back.
    ///
    /// Returns: false if the queue is full or there is no memory; the value is then unchanged.
    [[nodiscard]] bool try_push(T&& value) noexcept {
        // Copies, because for the compiler the value may overlap the members.
        const std::size_t pushed = pushed_;
        if (pushed == full_at_ && !has_space(pushed)) return false;
        if (place(pushed) == 0 && !append_block()) return false;
        ::new (static_cast<void*>(last_->at(place(pushed)))) T(std::move(value));
        pushed_ = pushed + 1;
        return true;
    }
    /// Adds a copy of a value, which is made first.
    ///
    /// Throws: what copying throws, and then nothing was added.
    [[nodiscard]] bool try_push(const T& value) noexcept(std::is_nothrow_copy_constructible_v<T>)
        requires std::is_copy_constructible_v<T>
    {
        return size() != capacity_ && try_push(T(value));
    }

    /// Takes the oldest value; nothing if there is none.
    [[nodiscard]] std::optional<T> try_pop() noexcept {
        const std::size_t popped = popped_;
        if (popped == pushed_) return std::nullopt;
        T* const slot = first_->at(place(popped));
        std::optional<T> value{std::move(*slot)};
        slot->~T();
        leave(popped);
        return value;
    }

    /// Returns the oldest value, or null if there is none. It stays in place until it is taken.
    [[nodiscard]] T* front() noexcept { return size() == 0 ? nullptr : first_->at(place(popped_)); }
    /// Removes the oldest value.   Pre: there is one.
    void ack() noexcept {
        BELAY_PRECONDITION(size() != 0, "Deque::ack: the deque must not be empty");
        first_->at(place(popped_))->~T();
        leave(popped_);
    }
    /// Does nothing, because the oldest value stays the first until it is removed.
    void nack() noexcept {}

    /// Returns the number of values.
    [[nodiscard]] std::size_t size() const noexcept { return pushed_ - popped_; }
    /// Returns how many values it can hold.
    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

private:
    // A power of two, so that the number of a value gives its place in its block.
    static constexpr std::size_t block_values =
        sizeof(T) >= 256 ? 4 : std::bit_floor(1024 / sizeof(T));

    struct Block {
        T* at(std::size_t i) noexcept { return reinterpret_cast<T*>(bytes) + i; }

        alignas(T) std::byte bytes[sizeof(T) * block_values];
        Block* next = nullptr;
    };

    static std::size_t place(std::size_t number) noexcept { return number % block_values; }

    void swap(Deque& other) noexcept {
        std::swap(capacity_, other.capacity_);
        std::swap(full_at_, other.full_at_);
        std::swap(first_, other.first_);
        std::swap(last_, other.last_);
        std::swap(spare_, other.spare_);
        std::swap(pushed_, other.pushed_);
        std::swap(popped_, other.popped_);
    }

    /// Computes again how far pushes may go.
    [[nodiscard]] bool has_space(std::size_t pushed) noexcept {
        full_at_ = popped_ + capacity_;
        return pushed != full_at_;
    }
    [[nodiscard]] bool append_block() noexcept {
        Block* block = std::exchange(spare_, nullptr);
        if (block == nullptr) block = new (std::nothrow) Block;
        if (block == nullptr) return false;
        (last_ == nullptr ? first_ : last_->next) = block;
        last_ = block;
        return true;
    }
    /// Counts the pop of a value that was destroyed.
    void leave(std::size_t popped) noexcept {
        popped_ = popped + 1;
        if (place(popped + 1) == 0) drop_first_block();
    }
    void drop_first_block() noexcept {
        Block* const block = first_;
        first_ = block->next;
        if (first_ == nullptr) last_ = nullptr;
        block->next = nullptr;
        delete std::exchange(spare_, block);
    }

    std::size_t capacity_;
    std::size_t full_at_;     // pushes before this one do not read the pops
    Block* first_ = nullptr;  // blocks that hold values, in order
    Block* last_ = nullptr;
    Block* spare_ = nullptr;
    // Each side has one counter, and no word is written by both. Otherwise compilers join two into
    // a vector, and the next access waits for it.
    std::size_t pushed_ = 0;
    std::size_t popped_ = 0;
};

}}  // namespace belay
