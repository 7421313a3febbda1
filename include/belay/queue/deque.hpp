// SPDX-License-Identifier: MIT
/// \file belay/queue/deque.hpp
/// Deque: a queue that allocates memory as it grows, for one thread.
#pragma once

#include <bit>          // std::bit_floor
#include <cstddef>      // std::size_t
#include <new>          // placement new, std::nothrow
#include <optional>     // std::optional
#include <type_traits>  // std::is_nothrow_move_constructible_v
#include <utility>      // std::exchange, std::swap

#include <belay/queue/storage_like.hpp>

namespace belay { inline namespace BELAY_ABI {

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
        return size() != capacity_ && try_push(T{value});
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
