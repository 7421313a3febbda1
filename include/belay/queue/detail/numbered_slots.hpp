// SPDX-License-Identifier: MIT
/// \file belay/queue/detail/numbered_slots.hpp
/// NumberedSlots: the slots of MpscRing and MpmcRing. Each slot stores whose turn it is.
#pragma once

#include <atomic>    // std::memory_order_acquire
#include <cstddef>   // std::size_t, std::ptrdiff_t
#include <memory>    // std::construct_at, std::destroy_at
#include <optional>  // std::optional
#include <span>      // std::span
#include <utility>   // std::forward, std::move

#include <belay/queue/detail/ring_atomics.hpp>
#include <belay/queue/detail/ring_slots.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Slots, and the two steps that use them: claim positions, then fill or empty their slots.
///
/// A *position* numbers a push, and the pop that takes its value. Positions grow. Those of one slot
/// differ by a lap, which is a power of two. The positions at the end of a lap that have no slot
/// are skipped. So every capacity is exact, and no position needs a division.
///
/// A slot's *turn* is `2p` while it is free for the push at position p, `2p + 1` while it holds
/// that push's value, and `2(p + lap)` after the value was taken. Invariant: a thread that got a
/// position from `claim`, and sees the turn that the position waits for, has exclusive access to
/// the slot until it changes the turn.
///
/// Source: D. Vyukov, "Bounded MPMC queue" (1024cores.net, 2010); turns that count laps:
///         rigtorp/MPMCQueue (2018). Exact capacities and claims of batches are added.
template <class T>
class NumberedSlots {
public:
    /// The use of a slot.
    enum class Phase : std::size_t { push = 0, pop = 1 };

    explicit NumberedSlots(std::size_t capacity) : slots_{capacity} {
        for (std::size_t i = 0; i < capacity; ++i) std::construct_at(slots_.at(i), 2 * i);
    }
    NumberedSlots(NumberedSlots&&) noexcept = default;
    NumberedSlots& operator=(NumberedSlots&&) noexcept = default;
    // The turns need no destructor. The owner destroys the values.
    ~NumberedSlots() = default;

    [[nodiscard]] std::size_t capacity() const noexcept { return slots_.capacity(); }

    /// Returns the position `n` places after `position`.   Pre: n <= capacity().
    [[nodiscard]] std::size_t after(std::size_t position, std::size_t n = 1) const noexcept {
        const std::size_t index = (position & slots_.mask()) + n;
        return index < capacity() ? position + n
                                  : (position | slots_.mask()) + 1 + (index - capacity());
    }
    /// Returns how many values are between two positions that may have been read while they moved
    /// on.
    [[nodiscard]] std::size_t held(std::size_t head, std::size_t tail) const noexcept {
        const std::size_t mask = slots_.mask();
        // Signed: a head that was read later may be a lap ahead.
        const auto laps = static_cast<std::ptrdiff_t>((tail & ~mask) - (head & ~mask)) /
                          static_cast<std::ptrdiff_t>(mask + 1);
        return held_between({.head = head & mask,
                             .tail = static_cast<std::size_t>(laps) * capacity() + (tail & mask)},
                            capacity());
    }

    /// Returns how many slots from `position` on, up to `most`, are ready for `phase`.
    [[nodiscard]] std::size_t ready(std::size_t position, Phase phase, std::size_t most) noexcept {
        std::size_t n = 0;
        // Acquire, with the release of fill and empty: earlier accesses to the slot happen before
        // the next ones.
        while (n < most && slots_.at(position)->turn.load(std::memory_order_acquire) ==
                               2 * position + static_cast<std::size_t>(phase)) {
            ++n;
            position = after(position);
        }
        return n;
    }
    /// Takes up to `most` positions that are ready for `phase` from `end`, the next position of all
    /// threads of that side. Returns how many, and sets `first` to the first of them.
    ///
    /// If it returns 0, the next position was not ready at some moment of this call.
    [[nodiscard]] std::size_t claim(RingAtomic<T, std::size_t>& end, Phase phase, std::size_t most,
                                    std::size_t& first) noexcept {
        // All relaxed: the exchange is atomic, so each position is handed out once. Only the turns
        // order the content of the slots.
        std::size_t position = end.load(std::memory_order_relaxed);
        for (;;) {
            const std::size_t n = ready(position, phase, most);
            if (n == 0) {
                const std::size_t now = end.load(std::memory_order_relaxed);
                if (now == position) return 0;
                position = now;
            } else if (end.compare_exchange_weak(position, after(position, n),
                                                 std::memory_order_relaxed,
                                                 std::memory_order_relaxed)) {
                first = position;
                return n;
            }
        }
    }

    /// Returns the value at a position that is ready for Phase::pop.
    [[nodiscard]] T& value(std::size_t position) noexcept { return *slots_.at(position)->value(); }
    /// Pre: the position was claimed for Phase::push.
    void fill(std::size_t position, T&& value) noexcept {
        Slot& slot = *slots_.at(position);
        std::construct_at(slot.value(), std::move(value));
        // Release: a thread that sees the turn also sees the value.
        slot.turn.store(2 * position + 1, std::memory_order_release);
    }
    /// Destroys the value.   Pre: the position was claimed for Phase::pop.
    void empty(std::size_t position) noexcept {
        Slot& slot = *slots_.at(position);
        std::destroy_at(slot.value());
        // Release: a thread that sees the turn constructs after the value was destroyed.
        slot.turn.store(2 * (position + slots_.mask() + 1), std::memory_order_release);
    }

    /// Fills as many slots as there are values, from a position on.   Pre: as for one.
    void fill_some(std::size_t position, std::span<T> values) noexcept {
        for (T& value : values) {
            fill(position, std::move(value));
            position = after(position);
        }
    }
    [[nodiscard]] std::optional<T> take(std::size_t position) noexcept {
        std::optional<T> taken{std::move(value(position))};
        empty(position);
        return taken;
    }
    void take_some(std::size_t position, std::span<T> into) noexcept {
        for (T& place : into) {
            place = std::move(value(position));
            empty(position);
            position = after(position);
        }
    }

private:
    struct Slot {
        explicit Slot(std::size_t first) noexcept : turn{first} {}
        T* value() noexcept { return reinterpret_cast<T*>(bytes); }

        RingAtomic<T, std::size_t> turn;
        alignas(T) std::byte bytes[sizeof(T)];
    };

    RingSlots<Slot, dynamic_capacity> slots_;
};

}}}  // namespace belay::detail
