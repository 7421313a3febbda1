// SPDX-License-Identifier: MIT
/// \file belay/queue/detail/numbered_slots.hpp
/// NumberedSlots: the slots of MpmcRing. Each slot stores whose turn it is.
#pragma once

#include <atomic>    // std::memory_order_acquire
#include <cstddef>   // std::size_t, std::ptrdiff_t
#include <new>       // placement new
#include <optional>  // std::optional
#include <span>      // std::span
#include <utility>   // std::forward, std::move

#include <belay/queue/detail/ring_atomics.hpp>
#include <belay/queue/detail/ring_slots.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Slots, and the two steps that use them: claim turns, then fill or empty their slots.
///
/// A *position* numbers a push, and the pop that takes its value. Positions grow. Those of one slot
/// differ by a lap, which is a power of two. The positions at the end of a lap that have no slot
/// are skipped. So every capacity is exact, and no position needs a division.
///
/// A slot's *turn* is `2p` while it is free for the push at position p, `2p + 1` while it holds
/// that push's value, and `2(p + lap)` after the value was taken. Both ends of the ring are counted
/// in turns: the next push waits for an even turn, the next pop for an odd one. Invariant: a thread
/// that got a turn from `claim`, and sees it in the slot, has exclusive access to the slot until it
/// changes the turn.
///
/// Source: D. Vyukov, "Bounded MPMC queue" (1024cores.net, 2010); turns that count laps:
///         rigtorp/MPMCQueue (2018). Exact capacities and claims of batches are added.
template <class T>
class NumberedSlots {
public:
    /// The turns of the first push and the first pop.
    static constexpr std::size_t first_push = 0;
    static constexpr std::size_t first_pop = 1;

    explicit NumberedSlots(std::size_t capacity) : slots_{capacity} {
        for (std::size_t i = 0; i < capacity; ++i)
            ::new (static_cast<void*>(slots_.at(i))) Slot{2 * i};
    }
    NumberedSlots(NumberedSlots&&) noexcept = default;
    NumberedSlots& operator=(NumberedSlots&&) noexcept = default;
    // The turns need no destructor. The owner destroys the values.
    ~NumberedSlots() = default;

    [[nodiscard]] std::size_t capacity() const noexcept { return slots_.capacity(); }

    /// Returns the turn `n` places after `turn`, of the same side.   Pre: n <= capacity().
    [[nodiscard]] std::size_t after(std::size_t turn, std::size_t n = 1) const noexcept {
        const std::size_t index = (turn / 2 & slots_.mask()) + n;
        if (index < capacity()) [[likely]] {
            return turn + 2 * n;
        }
        return (turn | lap_mask()) + 1 + 2 * (index - capacity()) + turn % 2;
    }
    /// Returns how many values are between the turns of the next pop and of the next push. These
    /// may have moved on while they were read.
    [[nodiscard]] std::size_t held(std::size_t head, std::size_t tail) const noexcept {
        // Signed: a head that was read later may be a lap ahead.
        const auto laps = static_cast<std::ptrdiff_t>((tail & ~lap_mask()) - (head & ~lap_mask())) /
                          static_cast<std::ptrdiff_t>(lap_mask() + 1);
        const std::size_t mask = slots_.mask();
        return held_between(
            {.head = head / 2 & mask,
             .tail = static_cast<std::size_t>(laps) * capacity() + (tail / 2 & mask)},
            capacity());
    }

    /// Returns how many slots have their turn, from `turn` on, up to `most`.
    [[nodiscard]] std::size_t ready(std::size_t turn, std::size_t most) noexcept {
        std::size_t n = 0;
        // Acquire, with the release of fill and empty: earlier accesses to the slot happen before
        // the next ones.
        while (n < most && slots_.at(turn / 2)->turn.load(std::memory_order_acquire) == turn) {
            ++n;
            turn = after(turn);
        }
        return n;
    }
    /// Takes up to `most` turns that their slots have, from `end` on, the next turn of all threads
    /// of that side. Returns how many, and sets `first` to the first of them.
    ///
    /// If it returns 0, the next slot did not have the turn at some moment of this call.
    [[nodiscard]] std::size_t claim(RingAtomic<T, std::size_t>& end, std::size_t most,
                                    std::size_t& first) noexcept {
        // All relaxed: the exchange is atomic, so each turn is handed out once. Only the turns of
        // the slots order their content.
        std::size_t turn = end.load(std::memory_order_relaxed);
        for (;;) {
            const std::size_t n = ready(turn, most);
            if (n == 0) {
                const std::size_t now = end.load(std::memory_order_relaxed);
                if (now == turn) return 0;
                turn = now;
            } else if (end.compare_exchange_weak(turn, after(turn, n), std::memory_order_relaxed,
                                                 std::memory_order_relaxed)) {
                first = turn;
                return n;
            }
        }
    }

    /// Returns the value of a slot whose turn is to be popped.
    [[nodiscard]] T& value(std::size_t turn) noexcept { return *slots_.at(turn / 2)->value(); }
    /// Pre: the turn was claimed for a push.
    void fill(std::size_t turn, T&& value) noexcept {
        Slot& slot = *slots_.at(turn / 2);
        ::new (static_cast<void*>(slot.value())) T(std::move(value));
        // Release: a thread that sees the turn also sees the value.
        slot.turn.store(turn + 1, std::memory_order_release);
    }
    /// Destroys the value.   Pre: the turn was claimed for a pop.
    void empty(std::size_t turn) noexcept {
        Slot& slot = *slots_.at(turn / 2);
        slot.value()->~T();
        // Release: a thread that sees the turn constructs after the value was destroyed.
        slot.turn.store(turn + lap_mask(), std::memory_order_release);
    }

    /// Fills as many slots as there are values, from a turn on.   Pre: as for one.
    void fill_some(std::size_t turn, std::span<T> values) noexcept {
        for (T& value : values) {
            fill(turn, std::move(value));
            turn = after(turn);
        }
    }
    [[nodiscard]] std::optional<T> take(std::size_t turn) noexcept {
        std::optional<T> taken{std::move(value(turn))};
        empty(turn);
        return taken;
    }
    void take_some(std::size_t turn, std::span<T> into) noexcept {
        for (T& place : into) {
            place = std::move(value(turn));
            empty(turn);
            turn = after(turn);
        }
    }

private:
    struct Slot {
        explicit Slot(std::size_t first) noexcept : turn{first} {}
        T* value() noexcept { return reinterpret_cast<T*>(bytes); }

        RingAtomic<T, std::size_t> turn;
        alignas(T) std::byte bytes[sizeof(T)];
    };

    /// Returns the number of turns of a lap, a power of two, minus one.
    [[nodiscard]] std::size_t lap_mask() const noexcept { return 2 * slots_.mask() + 1; }

    RingSlots<Slot, dynamic_capacity> slots_;
};

}}}  // namespace belay::detail
