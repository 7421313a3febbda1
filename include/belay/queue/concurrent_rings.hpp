// SPDX-License-Identifier: MIT
/// \file belay/queue/concurrent_rings.hpp
/// Bounded queues that threads share: SpscRing from one thread to another, MpmcRing between any
/// number of threads, and BlockingRing, on which a thread can wait for space and for values.
#pragma once

#include <atomic>       // std::atomic, std::memory_order_acquire, std::memory_order_relaxed
#include <cstddef>      // std::ptrdiff_t, std::size_t
#include <cstdint>      // std::uint32_t
#include <new>          // placement new
#include <optional>     // std::optional
#include <span>         // std::span
#include <type_traits>  // std::is_nothrow_copy_constructible_v, std::is_nothrow_move_assignable_v
#include <utility>      // std::exchange, std::forward, std::move

#include <belay/core/assert.hpp>
#include <belay/core/detail/spin_mutex.hpp>
#include <belay/queue/storage_like.hpp>
#include <belay/queue/storages.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

/// The atomics of a ring whose values are of type T.
///
/// belay's own tests specialise it for a value type of theirs, to try every order of the accesses.
template <class T>
struct RingAtomics {
    template <class N>
    using Of = std::atomic<N>;
};

template <class T, class N>
using RingAtomic = typename RingAtomics<T>::template Of<N>;

}  // namespace detail

/// A bounded first-in, first-out queue from one thread, the producer, to another, the consumer.
///
/// The ring allocates nothing after construction, and values never move while they are in it. Each
/// side works on its own index. It reads the other side's index only when the ring seems full or
/// empty.
///
/// Models:        LeasableLike.
/// Thread safety: one producer calls try_push and push_some; one consumer calls try_pop, pop_some,
///                front, ack and nack. Any thread calls size and capacity. No other thread may use
///                the ring while it is constructed, moved or destroyed.
/// Progress:      wait-free: no call waits for the other side, or repeats because of it.
/// Complexity:    O(1) each; batches O(values).
/// Source:        L. Lamport, "Proving the Correctness of Multiprocess Programs" (1977); cached
///                indices: J. Giacomoni et al., "FastForward" (2008), P. Lee et al.,
///                "MCRingBuffer" (2010).
template <class T>
class SpscRing {
    static_assert(detail::RingValue<T>,
                  "SpscRing: T must be movable and destructible without throwing");

public:
    using value_type = T;

    /// Allocates the slots.   Pre: 0 < capacity <= 2^48.   Throws: std::bad_alloc.
    explicit SpscRing(std::size_t capacity) : slots_{capacity} {}
    /// Takes the values of `other`, which is empty and has the capacity 0 afterwards.
    SpscRing(SpscRing&& other) noexcept : slots_{std::move(other.slots_)} { take_indices(other); }
    SpscRing& operator=(SpscRing&& other) noexcept {
        if (this == &other) return *this;
        clear();
        slots_ = std::move(other.slots_);
        take_indices(other);
        return *this;
    }
    ~SpscRing() { clear(); }

    /// Adds a value at the back. If the ring is full, returns false and does not change `value`.
    [[nodiscard]] bool try_push(T&& value) noexcept { return push(std::move(value)); }
    /// Adds a copy of a value.   Throws: what copying throws; then nothing was added.
    [[nodiscard]] bool try_push(const T& value) noexcept(std::is_nothrow_copy_constructible_v<T>)
        requires std::is_copy_constructible_v<T>
    {
        return push(value);
    }
    /// Adds as many of `values` as fit, from the first on, and returns how many. The others do not
    /// change.
    [[nodiscard]] std::size_t push_some(std::span<T> values) noexcept {
        const std::size_t tail = producer_.mine;
        const std::size_t count = smaller(space(values.size()), values.size());
        for (std::size_t i = 0; i < count; ++i) {
            ::new (static_cast<void*>(slots_.at(tail + i))) T(std::move(values[i]));
        }
        if (count != 0) publish_tail(tail + count);
        return count;
    }

    /// Takes the oldest value; returns std::nullopt if the ring is empty.
    [[nodiscard]] std::optional<T> try_pop() noexcept {
        const std::size_t head = consumer_.mine;
        if (held(1) == 0) return std::nullopt;
        T* const slot = slots_.at(head);
        std::optional<T> value{std::move(*slot)};
        slot->~T();
        publish_head(head + 1);
        return value;
    }
    /// Takes the oldest values, as many as fit into `into`, and returns how many.
    [[nodiscard]] std::size_t pop_some(std::span<T> into) noexcept
        requires std::is_nothrow_move_assignable_v<T>
    {
        const std::size_t head = consumer_.mine;
        const std::size_t count = smaller(held(into.size()), into.size());
        for (std::size_t i = 0; i < count; ++i) {
            T* const slot = slots_.at(head + i);
            into[i] = std::move(*slot);
            slot->~T();
        }
        if (count != 0) publish_head(head + count);
        return count;
    }

    /// Returns the oldest value, or null if the ring is empty. The value does not move until it is
    /// taken.
    [[nodiscard]] T* front() noexcept {
        const std::size_t head = consumer_.mine;
        return held(1) == 0 ? nullptr : slots_.at(head);
    }
    /// Removes the oldest value.   Pre: front() has returned one.
    void ack() noexcept {
        const std::size_t head = consumer_.mine;
        BELAY_PRECONDITION(head != consumer_.theirs, "SpscRing::ack: the ring must not be empty");
        slots_.at(head)->~T();
        publish_head(head + 1);
    }
    /// Does nothing: the oldest value stays first until it is removed.
    void nack() noexcept {}

    /// Returns how many values are in the ring: exact while neither side works, or else an estimate
    /// within the capacity.
    [[nodiscard]] std::size_t size() const noexcept {
        // Relaxed: a caller may conclude no more from it than the approximate number.
        const std::size_t head = 2 * head_.load(std::memory_order_relaxed);
        return detail::held_between({head, tail_.load(std::memory_order_relaxed)}, 2 * capacity()) /
               2;
    }
    /// Returns the capacity given to the constructor; 0 after a move from this ring.
    [[nodiscard]] std::size_t capacity() const noexcept { return slots_.capacity(); }

private:
    // It ends the pushes, and waits until their values were taken.
    template <class Ring>
    friend class BlockingRing;

    // The own index of one side, and the other side's index as last read. Indices only grow. The
    // slot is the remainder of the index, so that full and empty differ.
    struct Side {
        std::size_t mine = 0;
        std::size_t theirs = 0;
    };

    static std::size_t smaller(std::size_t a, std::size_t b) noexcept { return a < b ? a : b; }

    template <class V>
    bool push(V&& value) noexcept(std::is_nothrow_constructible_v<T, V>) {
        // A copy: as far as the compiler knows, the value may lie over the index.
        const std::size_t tail = producer_.mine;
        if (space(1) == 0) return false;
        ::new (static_cast<void*>(slots_.at(tail))) T(std::forward<V>(value));
        publish_tail(tail + 1);
        return true;
    }

    /// Returns how many free slots the producer knows. If there are fewer than `wanted`, it reads
    /// the consumer's index again.
    [[nodiscard]] std::size_t space(std::size_t wanted) noexcept {
        const std::size_t tail = producer_.mine;
        const std::size_t known = slots_.capacity() - (tail - producer_.theirs);
        if (known >= wanted) return known;
        // Acquire, with the release of publish_head: the consumer has left the slots below, so the
        // producer may construct in them.
        producer_.theirs = head_.load(std::memory_order_acquire);
        return slots_.capacity() - (tail - producer_.theirs);
    }
    /// Returns how many values the consumer knows. If there are fewer than `wanted`, it reads the
    /// producer's index again.
    [[nodiscard]] std::size_t held(std::size_t wanted) noexcept {
        const std::size_t head = consumer_.mine;
        const std::size_t known = consumer_.theirs - head;
        if (known >= wanted) return known;
        // Acquire, with the release of publish_tail: the values below are constructed.
        const std::size_t count = (tail_.load(std::memory_order_acquire) - 2 * head) / 2;
        consumer_.theirs = head + count;
        return count;
    }
    void publish_tail(std::size_t tail) noexcept {
        producer_.mine = tail;
        // Release: a thread that reads the index sees the values below it.
        tail_.store(2 * tail, std::memory_order_release);
    }
    void publish_head(std::size_t head) noexcept {
        consumer_.mine = head;
        // Release: a thread that reads the index may reuse the slots below it.
        head_.store(head, std::memory_order_release);
    }

    // ---- for BlockingRing -----------------------------------------------------------------------

    static constexpr bool publishes_by_exchange = true;
    /// Adds the values that fit, in one exchange, unless the pushes have ended. Those that it does
    /// not add are as they were.
    [[nodiscard]] std::size_t push_unless_closed(std::span<T> values) noexcept {
        // Relaxed: the exchange finds a close that this does not see yet.
        if (pushes_closed(std::memory_order_relaxed)) return 0;
        const std::size_t tail = producer_.mine;
        const std::size_t count = smaller(space(values.size()), values.size());
        if (count == 0) return 0;
        for (std::size_t i = 0; i < count; ++i) {
            ::new (static_cast<void*>(slots_.at(tail + i))) T(std::move(values[i]));
        }
        // Release, as in publish_tail. Acquire, with announce_wait: see BlockingRing.
        std::size_t expected = 2 * tail;
        if (tail_.compare_exchange_strong(expected, 2 * (tail + count), std::memory_order_acq_rel,
                                          std::memory_order_relaxed)) {
            producer_.mine = tail + count;
            return count;
        }
        for (std::size_t i = 0; i < count; ++i) give_back(slots_.at(tail + i), values.data() + i);
        return 0;
    }
    /// Moves a value that was not added back to its owner.
    static void give_back(T* slot, T* owner) noexcept {
        if constexpr (std::is_nothrow_move_assignable_v<T>) {
            *owner = std::move(*slot);
        } else {
            owner->~T();
            ::new (static_cast<void*>(owner)) T(std::move(*slot));
        }
        slot->~T();
    }
    /// Ends the pushes: each was published before, or is rejected.
    void close_pushes() noexcept {
        // Release: a thread that sees the close also sees what this thread did before.
        tail_.fetch_or(1, std::memory_order_release);
    }
    [[nodiscard]] bool pushes_closed(std::memory_order order) const noexcept {
        return tail_.load(order) % 2 != 0;
    }
    /// The consumer's: returns whether the pushes have ended, and all their values were taken.
    [[nodiscard]] bool drained() const noexcept {
        // Relaxed: equal only after the close, and then the consumer has taken all values itself.
        return tail_.load(std::memory_order_relaxed) == 2 * consumer_.mine + 1;
    }
    /// The consumer's. Either the producer sees the consumer's earlier writes after its next
    /// exchange, or it has made that exchange, and the consumer sees it.
    void announce_wait() noexcept {
        // Release, with the acquire of push_unless_closed.
        tail_.fetch_add(0, std::memory_order_release);
    }

    void take_indices(SpscRing& other) noexcept {
        // Relaxed: no other thread uses the ring now. Handing it over orders the stores.
        producer_ = std::exchange(other.producer_, Side{});
        consumer_ = std::exchange(other.consumer_, Side{});
        tail_.store(2 * producer_.mine, std::memory_order_relaxed);
        head_.store(consumer_.mine, std::memory_order_relaxed);
        other.tail_.store(0, std::memory_order_relaxed);
        other.head_.store(0, std::memory_order_relaxed);
    }
    void clear() noexcept {
        while (front() != nullptr) ack();
    }

    alignas(detail::side_bytes) detail::RingSlots<T, dynamic_capacity> slots_;
    alignas(detail::side_bytes) Side producer_;
    // Twice the producer's index; 1 more after close_pushes().
    alignas(detail::side_bytes) detail::RingAtomic<T, std::size_t> tail_{0};
    alignas(detail::side_bytes) Side consumer_;
    alignas(detail::side_bytes) detail::RingAtomic<T, std::size_t> head_{0};
};

/// A bounded first-in, first-out queue between any number of threads.
///
/// The ring allocates nothing after construction. A value comes after all values whose push had
/// returned before its own push began. The values of a batch stay together. If a thread is
/// suspended in the middle of a push, its value and all values after it are hidden until it
/// continues. Meanwhile try_pop returns std::nullopt. A thread that is suspended in the middle of a
/// pop keeps its slot.
///
/// Models:        StorageLike. It has no front(): another thread could take the value that front()
///                returned. A ring that was moved from may only be destroyed or assigned to.
/// Thread safety: any thread calls anything. No other thread may use the ring while it is
///                constructed, moved or destroyed.
/// Progress:      no locks and no waiting: a call repeats only because another call succeeded.
/// Complexity:    O(1) each, without contention; batches O(values).
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
/// Source:        D. Vyukov, "Bounded MPMC queue" (1024cores.net, 2010); turns that count laps:
///                rigtorp/MPMCQueue (2018). Exact capacities and claims of batches are added.
template <class T>
class MpmcRing {
    static_assert(detail::RingValue<T>,
                  "MpmcRing: T must be movable and destructible without throwing");

public:
    using value_type = T;

    /// Allocates the slots.   Pre: 0 < capacity <= 2^48.   Throws: std::bad_alloc.
    explicit MpmcRing(std::size_t capacity) : slots_{capacity} {
        for (std::size_t i = 0; i < capacity; ++i)
            ::new (static_cast<void*>(slots_.at(i))) Slot{2 * i};
    }
    /// Afterwards `other` may only be destroyed or assigned to.
    MpmcRing(MpmcRing&& other) noexcept : slots_{std::move(other.slots_)} { take_turns(other); }
    MpmcRing& operator=(MpmcRing&& other) noexcept {
        if (this == &other) return *this;
        clear();
        slots_ = std::move(other.slots_);
        take_turns(other);
        return *this;
    }
    ~MpmcRing() { clear(); }

    /// Adds a value at the back. If the ring is full, returns false and does not change `value`.
    [[nodiscard]] bool try_push(T&& value) noexcept {
        std::size_t turn = 0;
        if (claim(tail_, 1, turn) == 0) return false;
        fill(turn, std::move(value));
        return true;
    }
    /// Adds a copy of a value, which is made first.   Throws: what copying throws; then nothing was
    /// added.
    [[nodiscard]] bool try_push(const T& value) noexcept(std::is_nothrow_copy_constructible_v<T>)
        requires std::is_copy_constructible_v<T>
    {
        return try_push(T(value));
    }
    /// Adds as many of `values` as fit, from the first on, and returns how many. The others do not
    /// change.
    [[nodiscard]] std::size_t push_some(std::span<T> values) noexcept {
        std::size_t turn = 0;
        const std::size_t count = claim(tail_, values.size(), turn);
        for (T& value : values.first(count)) {
            fill(turn, std::move(value));
            turn = after(turn);
        }
        return count;
    }

    /// Takes the oldest value; returns std::nullopt if there is none.
    [[nodiscard]] std::optional<T> try_pop() noexcept {
        std::size_t turn = 0;
        if (claim(head_, 1, turn) == 0) return std::nullopt;
        std::optional<T> taken{std::move(value(turn))};
        empty(turn);
        return taken;
    }
    /// Takes the oldest values, as many as fit into `into`, and returns how many.
    [[nodiscard]] std::size_t pop_some(std::span<T> into) noexcept
        requires std::is_nothrow_move_assignable_v<T>
    {
        std::size_t turn = 0;
        const std::size_t count = claim(head_, into.size(), turn);
        for (T& place : into.first(count)) {
            place = std::move(value(turn));
            empty(turn);
            turn = after(turn);
        }
        return count;
    }

    /// Returns how many values are in the ring. While other threads push and pop, it is an estimate
    /// within the capacity.
    [[nodiscard]] std::size_t size() const noexcept {
        // Relaxed: callers may only use the result as an approximate number.
        const std::size_t head = head_.load(std::memory_order_relaxed);
        return held(head, tail_.load(std::memory_order_relaxed));
    }
    /// Returns the capacity given to the constructor.
    [[nodiscard]] std::size_t capacity() const noexcept { return slots_.capacity(); }

private:
    // It ends the pushes, and waits until their values were taken.
    template <class Ring>
    friend class BlockingRing;

    struct Slot {
        explicit Slot(std::size_t first) noexcept : turn{first} {}
        T* value() noexcept { return reinterpret_cast<T*>(bytes); }

        detail::RingAtomic<T, std::size_t> turn;
        alignas(T) std::byte bytes[sizeof(T)];
    };

    /// Returns the number of turns of a lap, a power of two, minus one.
    [[nodiscard]] std::size_t lap_mask() const noexcept { return 2 * slots_.mask() + 1; }

    /// The turns of the first push and the first pop.
    static constexpr std::size_t first_push = 0;
    static constexpr std::size_t first_pop = 1;

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
        return detail::held_between(
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
    [[nodiscard]] std::size_t claim(detail::RingAtomic<T, std::size_t>& end, std::size_t most,
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

    // ---- for BlockingRing -----------------------------------------------------------------------

    static constexpr bool publishes_by_exchange = false;
    /// Ends the pushes: each has claimed its turn before, or is rejected.
    ///
    /// The turn of the next push becomes odd, and no slot has it before that push is made.
    void close_pushes() noexcept {
        // Release: a thread that sees the close also sees what this thread pushed before.
        tail_.fetch_or(1, std::memory_order_release);
    }
    [[nodiscard]] bool pushes_closed(std::memory_order order) const noexcept {
        return tail_.load(order) % 2 != 0;
    }
    /// Returns whether the pushes have ended, and all their values were claimed by pops.
    [[nodiscard]] bool drained() const noexcept {
        // Relaxed, both: a turn that was read too early differs, and the wake after the change ends
        // the sleep of a thread that depends on it. After the close, the turn of the next push is
        // odd and stays as it is. The turns of pops are odd, too, and those of open pushes even.
        return head_.load(std::memory_order_relaxed) == tail_.load(std::memory_order_relaxed);
    }

    // Relaxed, in both: no other thread uses the ring now. Handing it over orders the stores.
    void take_turns(MpmcRing& other) noexcept {
        tail_.store(other.tail_.load(std::memory_order_relaxed), std::memory_order_relaxed);
        head_.store(other.head_.load(std::memory_order_relaxed), std::memory_order_relaxed);
        other.tail_.store(first_push, std::memory_order_relaxed);
        other.head_.store(first_pop, std::memory_order_relaxed);
    }
    void clear() noexcept {
        const std::size_t end = tail_.load(std::memory_order_relaxed) | 1;
        std::size_t head = head_.load(std::memory_order_relaxed);
        for (; head != end; head = after(head)) empty(head);
    }

    // The turns of slots need no destructor.
    alignas(detail::side_bytes) detail::RingSlots<Slot, dynamic_capacity> slots_;
    // The turns of the next push and of the next pop.
    alignas(detail::side_bytes) detail::RingAtomic<T, std::size_t> tail_{first_push};
    alignas(detail::side_bytes) detail::RingAtomic<T, std::size_t> head_{first_pop};
};

namespace detail {

/// Informs the processor that this thread is in a spin loop.
inline void pause_briefly() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("isb");
#endif
}

/// An event count. A waiter registers itself, checks once more, and sleeps. A thread that has made
/// a change wakes all registered waiters.
///
/// Invariant: the check of a waiter sees a change, or the `wake` after that change sees the waiter.
/// Both change `waiting_`, so one of them is first.
/// - If the wake is first, the waiter's increment (acquire) reads the value that the wake wrote
///   (release), or a later one of its release sequence. So the change happens before the check.
/// - If the waiter is first, the wake counts it, and needs no more information about it. The wake
///   then increments `changes_` (release). Either the waiter reads the new number (acquire) before
///   it checks, so that the change is visible. Or its sleep on the old number ends, or does not
///   begin.
///
/// It wakes all waiters, not one. With many producers a value may hide the values after it, so one
/// wake may have to serve several waiters.
///
/// T is the type of the ring's values.
///
/// Source: eventcounts: D. Reed, R. Kanodia, "Synchronization with Eventcounts and Sequencers"
///         (1979); atomic read-modify-write instead of fences, which thread sanitizers cannot see.
template <class T>
class RingWaiters {
public:
    /// Calls `look()` until it returns true. It sleeps between two calls, after `spins` calls.
    ///
    /// It calls `announce()` after it has registered: see `wake_announced`.
    template <class Look, class Announce>
    void wait(unsigned spins, Look&& look, Announce&& announce) noexcept {
        if (look()) return;
        for (unsigned i = 0; i < spins; ++i) {
            pause_briefly();
            if (look()) return;
        }
        waiting_.fetch_add(1, std::memory_order_acquire);
        announce();
        for (;;) {
            const std::uint32_t seen = changes_.load(std::memory_order_acquire);
            if (look()) break;
            // Relaxed: the load above, or that of the next iteration, makes the change visible.
            wait_while(changes_, seen, std::memory_order_relaxed);
        }
        // Relaxed: a wake that counts a thread that has left is harmless.
        waiting_.fetch_sub(1, std::memory_order_relaxed);
    }

    /// Wakes all waiters.   Pre: the change was made.
    void wake() noexcept {
        // Adds nothing. The read-modify-write puts it into the order of all changes of `waiting_`.
        if (waiting_.fetch_add(0, std::memory_order_release) != 0) wake_all();
    }
    /// The same, for a change that is an atomic read-modify-write (acquire, release) of a variable
    /// that `announce()` also changes (release). So that variable has the order of the two, and the
    /// wake needs no exchange of its own.
    void wake_announced() noexcept {
        // Relaxed: the change has read what a waiter announced, or the waiter sees the change.
        if (waiting_.load(std::memory_order_relaxed) != 0) wake_all();
    }

private:
    void wake_all() noexcept {
        changes_.fetch_add(1, std::memory_order_release);
        changes_.notify_all();
    }

    RingAtomic<T, std::uint32_t> waiting_{0};
    RingAtomic<T, std::uint32_t> changes_{0};
};

}  // namespace detail

/// How a BlockingRing waits.
struct BlockingRingOptions {
    /// How often a thread checks again before it sleeps. The default is low: on a machine of two
    /// cores, the thread that it waits for may need this very core.
    unsigned spins = 64;
};

/// A SpscRing or MpmcRing on which a thread can wait for space and for values.
///
/// Each change costs one atomic operation more than on the ring alone, and a system call if a
/// thread sleeps. It wakes all threads that sleep on the other side. For an orderly shutdown,
/// `close` ends all waits. Values that were pushed before can still be taken.
///
/// Thread safety: that of the ring; any thread calls close and closed.
/// Progress:      that of the ring, except functions whose name ends in `wait`, which block.
/// Complexity:    that of the ring.
template <class Ring>
class BlockingRing {
public:
    using value_type = typename Ring::value_type;

    /// Allocates the slots.   Pre: 0 < capacity <= 2^48.   Throws: std::bad_alloc.
    explicit BlockingRing(std::size_t capacity, BlockingRingOptions options = {})
        : ring_{capacity}, spins_{options.spins} {}

    /// Waits for space, and adds a value at the back. If the ring is closed, returns false and does
    /// not change `value`.   Blocks: until there is space, or close().
    [[nodiscard]] bool push_wait(value_type&& value) noexcept {
        // The first look is here, so that callers inline only what a ring with space needs.
        if (try_push(std::move(value))) return true;
        bool taken = false;
        // Relaxed: the wake of the close makes it visible.
        const auto look = [&] {
            return (taken = push(value)) || ring_.pushes_closed(std::memory_order_relaxed);
        };
        space_.wait(spins_, look, [] {});
        if (taken) wake_consumers();
        return taken;
    }
    /// Waits for a value, and takes the oldest. Returns std::nullopt if the ring is closed and
    /// empty.   Blocks: until there is a value, or close().
    [[nodiscard]] std::optional<value_type> pop_wait() noexcept {
        std::optional<value_type> value = ring_.try_pop();
        if (!value) {
            wait_for_values([&] {
                // Not assigned: a value need not be assignable.
                if (auto taken = ring_.try_pop()) value.emplace(std::move(*taken));
                return value.has_value();
            });
        }
        if (value) space_.wake();
        return value;
    }
    /// Waits for a value, takes the oldest values that fit into `into`, and returns how many: 0 if
    /// the ring is closed and empty. If `into` is empty, returns 0 at once.
    /// Blocks: until there is a value, or close().
    [[nodiscard]] std::size_t pop_some_wait(std::span<value_type> into) noexcept {
        // No value would ever end the wait.
        if (into.empty()) return 0;
        std::size_t count = 0;
        wait_for_values([&] { return (count = ring_.pop_some(into)) != 0; });
        if (count != 0) space_.wake();
        return count;
    }

    /// Adds a value without waiting, and wakes the waiting consumers. Returns false if the ring is
    /// full or closed.
    [[nodiscard]] bool try_push(value_type&& value) noexcept {
        const bool taken = push(value);
        if (taken) wake_consumers();
        return taken;
    }
    /// Adds as many of `values` as fit, from the first on, and returns how many: 0 if the ring is
    /// closed. Wakes the waiting consumers.
    [[nodiscard]] std::size_t push_some(std::span<value_type> values) noexcept {
        const std::size_t count = push_batch(values);
        if (count != 0) wake_consumers();
        return count;
    }
    /// Takes the oldest value without waiting, and wakes the waiting producers.
    [[nodiscard]] std::optional<value_type> try_pop() noexcept {
        std::optional<value_type> value = ring_.try_pop();
        if (value) space_.wake();
        return value;
    }
    /// Takes the oldest values without waiting, as many as fit into `into`, and returns how many.
    /// Wakes the waiting producers.
    [[nodiscard]] std::size_t pop_some(std::span<value_type> into) noexcept {
        const std::size_t count = ring_.pop_some(into);
        if (count != 0) space_.wake();
        return count;
    }

    /// Ends all waits, now and later. A push then returns false. A pop returns the values that are
    /// left, and after them std::nullopt.
    ///
    /// A push that runs at the same time is either before the close or rejected. The waits of the
    /// consumers end after they have taken the values of all pushes before the close. They wait for
    /// a thread that is in the middle of such a push.
    void close() noexcept {
        ring_.close_pushes();
        values_.wake();
        space_.wake();
    }
    /// Returns whether close() was called.
    [[nodiscard]] bool closed() const noexcept {
        return ring_.pushes_closed(std::memory_order_acquire);
    }

    /// Returns how many values are in the ring, as the ring's own size().
    [[nodiscard]] std::size_t size() const noexcept { return ring_.size(); }
    /// Returns the capacity given to the constructor.
    [[nodiscard]] std::size_t capacity() const noexcept { return ring_.capacity(); }

private:
    // The producer of an SpscRing publishes by an exchange. A consumer that goes to sleep changes
    // the same variable, so a push needs no second exchange to see it. A producer of an
    // MpmcRing publishes by a store into the slot, and then exchanges.
    static constexpr bool announced = Ring::publishes_by_exchange;

    /// Adds a value, unless the ring is full or closed.
    [[nodiscard]] bool push(value_type& value) noexcept {
        if constexpr (announced) return ring_.push_unless_closed({&value, 1}) != 0;
        return ring_.try_push(std::move(value));
    }
    [[nodiscard]] std::size_t push_batch(std::span<value_type> values) noexcept {
        if constexpr (announced) return ring_.push_unless_closed(values);
        return ring_.push_some(values);
    }
    void wake_consumers() noexcept {
        if constexpr (announced) return values_.wake_announced();
        values_.wake();
    }
    /// Waits until `pop()` returns true, or the ring is closed and empty.
    template <class Pop>
    void wait_for_values(Pop pop) noexcept {
        const auto look = [&] { return pop() || ring_.drained(); };
        if constexpr (announced) return values_.wait(spins_, look, [&] { ring_.announce_wait(); });
        values_.wait(spins_, look, [] {});
    }

    Ring ring_;
    alignas(detail::side_bytes) detail::RingWaiters<value_type> values_;  // consumers wait
    alignas(detail::side_bytes) detail::RingWaiters<value_type> space_;   // producers wait
    alignas(detail::side_bytes) unsigned spins_;
};

}}  // namespace belay
