// SPDX-License-Identifier: MIT
/// \file belay/fleet/detail/dial_scheduler.hpp
/// DialScheduler: decides which service may dial, and whether the network has failed. ServiceEntry:
/// its entry for a service. DialGroups: the services that wait to dial and those that dial.
#pragma once

#include <array>     // std::array
#include <chrono>    // std::chrono::minutes
#include <cstddef>   // std::size_t
#include <cstdint>   // std::uint32_t, std::uint64_t, std::uint8_t
#include <optional>  // std::optional
#include <string>    // std::string
#include <utility>   // std::exchange, std::move

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/core/detail/heap.hpp>
#include <belay/core/detail/memory.hpp>
#include <belay/core/machine_like.hpp>
#include <belay/core/order.hpp>
#include <belay/fleet/fleet_options.hpp>
#include <belay/link/status.hpp>
#include <belay/link/supervisor_core.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

struct DialScheduler;
struct ServiceEntry;

/// The operations of a fleet on a service, independent of its transport, policy and observer.
struct ServiceOps {
    const LinkStatus& (*status)(const ServiceEntry&) noexcept;
    std::size_t (*queued)(const ServiceEntry&);
    /// Returns whether one of its turns or hooks is on the call stack.
    bool (*in_turn)(const ServiceEntry&) noexcept;
    void (*start)(ServiceEntry&);
    void (*stop)(ServiceEntry&);
    Reconnect (*reconnect)(ServiceEntry&, bool force);
    /// Returns whether reconnect() would attempt now.
    bool (*may_attempt)(const ServiceEntry&, Instant now) noexcept;
    /// Attempts, if it only waits for the network.
    void (*resume)(ServiceEntry&);
    void (*unhealthy)(ServiceEntry&, const Failure&);
    /// Permits its connection to open.
    void (*dial)(ServiceEntry&);
    /// Ends its connection with a failure, which counts against the service unless `withdrawn`.
    void (*close)(ServiceEntry&, const Failure&, bool withdrawn);
    /// Destroys it: at once, or after its turn.
    void (*end)(ServiceEntry&) noexcept;
};

/// The phase of a service's connection, as the fleet counts it.
enum class ServicePhase : std::uint8_t {
    idle,       ///< there is no connection
    queued,     ///< waits for its turn to dial
    dialling,   ///< opening and validating; counts towards the limit of its group
    connected,  ///< validated
    held,       ///< has failed, and waits for the decision about the network
    ended       ///< has ended; the supervisor is notified next
};

/// The entry of the DialScheduler for one service.
///
/// Thread safety: the fleet's home thread.
struct ServiceEntry {
    static constexpr std::uint32_t nowhere = ~std::uint32_t{0};

    // Defined in dial_scheduler.hpp, where DialScheduler is complete.
    ServiceEntry(const ServiceOps& o, Ref<DialScheduler> h, std::string n) noexcept;
    ~ServiceEntry();
    ServiceEntry(const ServiceEntry&) = delete;
    ServiceEntry& operator=(const ServiceEntry&) = delete;

    const ServiceOps* ops;
    Ref<DialScheduler> scheduler;
    const std::string name;
    ServiceEntry* previous = nullptr;
    ServiceEntry* next = nullptr;
    /// Queued: its rank, as a time. Dialling: the time of the dial. Held: the time of the failure.
    Instant at = always;
    Instant asked_at = always;  ///< when the attempt began that is queued to dial
    /// Queued and dialling: the limit of the attempt, from the dial on. After a hold: how late its
    /// supervisor is notified of the end; `forever` until then.
    Duration span{};
    Failure failure{};         ///< held: the failure
    std::uint32_t ticket = 0;  ///< queued: the order of asking
    std::uint32_t place = nowhere;
    ServicePhase phase = ServicePhase::idle;
    std::uint8_t priority = 0;
    std::uint16_t endpoints = 1;             ///< between which its transport chooses
    std::uint16_t scouted = 0;               ///< of them in a row, as a scout; 0 after the last one
    LinkState counted = LinkState::stopped;  ///< the state it is counted in
    bool keeps_rank = false;         ///< removed from the queue: it asks again at its old rank
    bool removed : 1 = false;        ///< its observer is not notified any more
    bool passes : 1 = false;         ///< the next dial does not wait for the network
    bool is_scout : 1 = false;       ///< that dial also waits for no other dial
    bool was_held : 1 = false;       ///< its connection ended at `at`, not when that was reported
    bool is_slow : 1 = false;        ///< it waits, dials, or last dialled, in the slow group
    bool awaits_place : 1 = false;   ///< its dial ended because the slow group had no place
    bool was_connected : 1 = false;  ///< and no dial has failed since
    bool was_dialled : 1 = false;    ///< at least once
};

/// Entries in order of arrival, and their number.
class ServiceList {
public:
    [[nodiscard]] ServiceEntry* front() const noexcept { return entries_.front(); }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    void push(ServiceEntry& entry) noexcept {
        entries_.push(entry);
        ++size_;
    }
    void remove(ServiceEntry& entry) noexcept {
        entries_.remove(entry);
        --size_;
    }

private:
    IntrusiveList<ServiceEntry> entries_;
    std::size_t size_ = 0;
};

/// Entries that wait to dial, by rank, then by the order of asking.
///
/// Thread safety: one thread.   Complexity: O(log n).   Allocates: while it grows.
class DialQueue {
public:
    [[nodiscard]] bool empty() const noexcept { return heap_.empty(); }
    [[nodiscard]] std::size_t size() const noexcept { return heap_.size(); }
    [[nodiscard]] ServiceEntry& front() const noexcept { return *heap_.front(); }

    /// Throws: std::bad_alloc.
    void push(ServiceEntry& entry) {
        entry.ticket = ++tickets_;
        heap_.push(&entry, Order{});
    }
    void remove(ServiceEntry& entry) noexcept {
        heap_.remove(&entry, Order{});
        entry.place = ServiceEntry::nowhere;
    }

private:
    struct Order {
        static bool before(const ServiceEntry* a, const ServiceEntry* b) noexcept {
            if (a->at != b->at) return a->at < b->at;
            // By their distance, because the count of tickets may begin again.
            return static_cast<std::int32_t>(a->ticket - b->ticket) < 0;
        }
        static std::uint32_t& place(ServiceEntry* entry) noexcept { return entry->place; }
    };

    IndexedHeap<ServiceEntry*> heap_;
    std::uint32_t tickets_ = 0;
};

/// A limited number of dials, and the services that wait for one of them.
///
/// Thread safety: the fleet's home thread.
struct DialGroup {
    [[nodiscard]] bool has_place() const noexcept { return dialling.size() < dials_max; }
    [[nodiscard]] bool can_dial() const noexcept { return !queue.empty() && has_place(); }
    /// Returns whether the dials and the services that wait take all places.
    [[nodiscard]] bool is_taken() const noexcept {
        return dialling.size() + queue.size() >= dials_max;
    }

    std::size_t dials_max;
    DialQueue queue{};
    ServiceList dialling{};  ///< in the order in which they entered this group
};

/// Keeps dials that hang from delaying the others: a dial that has taken FleetOptions::slow_after
/// leaves the fast group.
///
/// Thread safety: the fleet's home thread.   Complexity: O(log n).
struct DialGroups {
    explicit DialGroups(const FleetOptions& options) noexcept
        : fast{options.dials_max}, slow{options.slow_dials_max} {}

    /// Queues a service in the group of its last dial.   Throws: std::bad_alloc.
    void enqueue(ServiceEntry& entry, const FleetOptions& options) {
        // A command or a scout must find out soon whether a dial succeeds now. So must a service
        // that was connected and has lost its connection.
        const bool lost = entry.was_connected && !entry.awaits_place;
        const bool needs_dial = entry.passes || (lost && slow.is_taken());
        entry.is_slow = entry.is_slow && !needs_dial;
        // Priority is a head start and not an absolute rank, so a waiting service eventually
        // precedes all services that ask later.
        const auto steps = static_cast<std::uint64_t>(entry.priority);
        const Duration ahead =
            part::saturating_add(part::saturating_multiply(options.head_start, steps),
                                 entry.was_connected ? lost_head_start : Duration::zero());
        entry.at = entry.is_scout ? always : before(entry.asked_at, ahead);
        of(entry).queue.push(entry);
        count_queued(entry, 1);
        entry.phase = ServicePhase::queued;
    }
    /// Returns the group in which the next dial may begin; null if there is none.
    [[nodiscard]] DialGroup* next() noexcept {
        if (queued == 0) return nullptr;
        if (!slow.can_dial()) return fast.can_dial() ? &fast : nullptr;
        if (!fast.can_dial()) return &slow;
        return slow.queue.front().at < fast.queue.front().at ? &slow : &fast;
    }
    /// Lets a service of this group's queue dial.
    void begin(DialGroup& group, ServiceEntry& entry, Instant now) noexcept {
        group.queue.remove(entry);
        count_queued(entry, -1);
        entry.was_dialled = true;
        entry.phase = ServicePhase::dialling;
        entry.passes = entry.is_scout = entry.awaits_place = false;
        entry.at = now;
        group.dialling.push(entry);
    }
    /// Moves the dials that have taken `slow_after` to the slow group, while it has places.
    /// Returns: the first for which there is none, and which must end; null if there is no such.
    [[nodiscard]] ServiceEntry* move_slow(Instant now, Duration slow_after) noexcept {
        while (ServiceEntry* const entry = fast.dialling.front()) {
            if (after(entry->at, slow_after) > now) break;
            if (slow.is_taken()) return entry;
            fast.dialling.remove(*entry);
            entry->is_slow = true;
            slow.dialling.push(*entry);
        }
        return nullptr;
    }
    /// Pre: it is queued or dialling.
    void leave(ServiceEntry& entry) noexcept {
        if (entry.phase == ServicePhase::queued) {
            of(entry).queue.remove(entry);
            count_queued(entry, -1);
        } else {
            of(entry).dialling.remove(entry);
        }
    }
    /// Returns when something is due here, except for a scout.
    [[nodiscard]] Instant deadline(Instant next_dial, Duration slow_after) const noexcept {
        const ServiceEntry* const oldest = fast.dialling.front();
        const Instant moves = oldest != nullptr ? after(oldest->at, slow_after) : never;
        if (queued == 0) return moves;
        return fast.can_dial() || slow.can_dial() ? smaller(moves, next_dial) : moves;
    }
    /// Returns a dial that began before the others, or about then; null if none is under way.
    [[nodiscard]] ServiceEntry* oldest() const noexcept {
        return slow.dialling.front() != nullptr ? slow.dialling.front() : fast.dialling.front();
    }
    /// Returns the oldest slow dial of a service that was connected; null if there is none.
    [[nodiscard]] ServiceEntry* oldest_of_connected() const noexcept {
        ServiceEntry* entry = slow.dialling.front();
        while (entry != nullptr && !entry->was_connected) entry = entry->next;
        return entry;
    }

    DialGroup fast;
    DialGroup slow;
    std::size_t queued = 0;      ///< in both groups
    std::size_t queued_new = 0;  ///< of these: those that were never dialled

private:
    /// Services that have lost a connection precede those that were never connected, or whose dials
    /// fail. A bounded time, so that no service starves.
    static constexpr Duration lost_head_start = std::chrono::minutes{10};

    void count_queued(const ServiceEntry& entry, int by) noexcept {
        queued += static_cast<std::size_t>(by);
        if (!entry.was_dialled) queued_new += static_cast<std::size_t>(by);
    }
    [[nodiscard]] DialGroup& of(const ServiceEntry& entry) noexcept {
        return entry.is_slow ? slow : fast;
    }
};

/// How a service notifies the observer of its fleet.
struct FleetWatch {
    void* fleet = nullptr;
    /// Null if the observer has no hook for it.
    void (*call)(void* fleet, const ServiceEntry&, const Transition&) = nullptr;
};

/// The state that the services of a fleet share. It outlives the fleet while there are services.
///
/// Thread safety: the fleet's home thread.
struct DialScheduler : Counted {
    explicit DialScheduler(const FleetOptions& o)
        : options{o}, groups{o}, waits{EqualJitter{}, Cap{o.suspect_wait_max}, o.suspect_wait} {}

    // ---- the steps of a connection -------------------------------------------------------------

    /// Queues a service that wants to dial.   Throws: std::bad_alloc.
    void enqueue(ServiceEntry& entry) {
        leave(entry);
        groups.enqueue(entry, options);
        touch();
    }
    void connected(ServiceEntry& entry, Instant now) noexcept {
        if (entry.phase != ServicePhase::dialling) return;
        end_suspicion(entry, now);
        leave(entry);
        entry.is_slow = entry.is_slow && after(entry.at, options.slow_after) <= now;
        entry.was_connected = true;
        entry.phase = ServicePhase::connected;
        ++up;
    }
    /// Holds a connection whose failure the network may have caused, until decide() is called.
    void hold(ServiceEntry& entry, const Failure& failure, Instant now) noexcept {
        leave(entry);
        entry.phase = ServicePhase::held;
        entry.at = now;
        entry.was_held = true;
        entry.span = forever;
        entry.failure = failure;
        held.push(entry);
        touch();
    }
    /// Removes the connection of a service that has ended.
    void leave(ServiceEntry& entry) noexcept {
        switch (entry.phase) {
            case ServicePhase::queued:
            case ServicePhase::dialling:
                groups.leave(entry);
                if (entry.phase == ServicePhase::dialling && groups.queued != 0) touch();
                break;
            case ServicePhase::connected:
                --up;
                break;
            case ServicePhase::held:
                held.remove(entry);
                break;
            default:
                break;
        }
        entry.phase = ServicePhase::idle;
    }
    /// Records evidence that the network works: a peer has answered.
    void prove(const ServiceEntry& entry, Instant now) noexcept {
        end_suspicion(entry, now);
        rounds = 0;
        waits.reset();
    }
    /// Ends the waits for the network. A connection that opens proves less than an answer: a
    /// balancer or a proxy nearby may have accepted it. So the rounds are still counted.
    void end_suspicion(const ServiceEntry& entry, Instant now) noexcept {
        proven_at = larger(proven_at, now);
        if (suspect) release(entry.phase == ServicePhase::dialling ? entry.at : now);
    }
    /// Counts a service that has changed its state.
    void moved(ServiceEntry& entry, LinkState to) noexcept {
        --count(entry.counted);
        entry.counted = to;
        ++count(to);
        // A command to dial in spite of the network is over with the attempt that it was for.
        if (to == LinkState::stopped || to == LinkState::offline) {
            entry.passes = entry.is_scout = false;
        }
    }
    [[nodiscard]] std::size_t& count(LinkState state) noexcept {
        return counts[static_cast<std::size_t>(state)];
    }
    /// Returns how many services are connected, or want to be.
    [[nodiscard]] std::size_t seeking() noexcept {
        return count(LinkState::connecting) + count(LinkState::connected) +
               count(LinkState::cooldown) + count(LinkState::suspended);
    }

    // ---- a turn of the fleet -------------------------------------------------------------------

    [[nodiscard]] Instant deadline() const noexcept {
        if (released) return always;
        Instant due = groups.deadline(next_dial, options.slow_after);
        if (suspect) {
            due = smaller(due, wait_until);
            if (is_scout_next()) due = smaller(due, next_dial);
        }
        if (held.size() != 0) due = smaller(due, after(held.front()->at, options.hold));
        return due;
    }
    /// Starts the dials that are due. If this turn has ended a dial, its connection is still open,
    /// so the next turn dials.
    void let_dial(Instant now) {
        end_slow_dials(now);
        while (next_dial <= now && !dial_ended) {
            // Dials that hang must not hide that the network is back.
            if (is_scout_next() && !groups.fast.has_place()) {
                return end_hanging(*groups.fast.dialling.front());
            }
            DialGroup* const group = groups.next();
            if (group == nullptr) return;
            ServiceEntry& entry = group->queue.front();
            // This comes first: if there is no memory, the service stays in the queue.
            entry.ops->dial(entry);
            groups.begin(*group, entry, now);
            next_dial = after(now, options.dial_gap);
        }
    }
    /// Decides about the failures that were held long enough.
    /// Returns: the event to report, if the network is suspect from now on.
    std::optional<NetworkSuspect> decide(Instant now, Random& bits) {
        std::optional<NetworkSuspect> found;
        while (held.size() != 0 && after(held.front()->at, options.hold) <= now) {
            if (all_failed(now)) {
                if (auto what = withdraw_all(now, bits)) found = what;
            } else {
                ServiceEntry& entry = *held.front();
                pass_on(entry, entry.failure, false);
            }
        }
        return found;
    }
    /// Ends the dials that were begun while the network may still have lost what they sent: they
    /// may hang although it is back.
    void end_old_dials() {
        // Nor do the failures count that are still held, unless the suspicion ended without proof.
        while (redial_before != always && held.size() != 0) {
            ServiceEntry& entry = *held.front();
            withdraw(entry);
            entry.ops->resume(entry);
        }
        for (const DialGroup* const group : {&groups.fast, &groups.slow}) {
            ServiceEntry* next = group->dialling.front();
            while (next != nullptr) {
                ServiceEntry& entry = *std::exchange(next, next->next);
                if (entry.at >= redial_before) continue;
                end_dial(entry);
                entry.ops->resume(entry);
            }
        }
        redial_before = always;
    }
    /// The time in which the network was suspect gives a waiting service no rank. Otherwise
    /// services that hang would precede those that lost their connection, after a long outage.
    void forget_outage(ServiceEntry& entry, Instant now) const noexcept {
        if (!entry.keeps_rank) return;
        entry.asked_at = smaller(after(entry.asked_at, elapsed(report.since, now)), now);
    }
    /// Lets the next dial of a service begin in the fast group, unless it waits or dials already.
    static void forget_slow_dials(ServiceEntry& entry) noexcept {
        if (entry.phase == ServicePhase::queued || entry.phase == ServicePhase::dialling) return;
        entry.is_slow = entry.awaits_place = false;
    }
    /// Returns whether a service must find out now whether the network is back.
    [[nodiscard]] bool scout_due(Instant now) const noexcept {
        return suspect && wait_until <= now;
    }
    /// Returns whether the next scout is preferably a service that was connected. That is every
    /// other one, so that neither these nor the others hide that the network is back.
    [[nodiscard]] bool prefers_connected() const noexcept { return rounds % 2 != 0; }
    /// Sends a service to dial while the others wait. Null: none waits for the network, or services
    /// in line, which need not wait for it, dial instead.
    /// Returns: the event to report, unless the suspicion has ended.
    std::optional<NetworkSuspect> send_scout(ServiceEntry* scout, Instant now, Random& bits) {
        if (seeking() < options.suspects_min) {
            // Too few are left to blame the network.
            release(always);
            return std::nullopt;
        }
        if (ServiceEntry* const hanging = dial_of_scout(scout)) {
            end_hanging(*hanging);
            return std::nullopt;
        }
        if (rounds >= options.suspect_rounds_max) {
            release(always);
            return std::nullopt;
        }
        begin_round(now, bits);
        if (scout == nullptr) {
            const DialGroup& fast = groups.fast;
            if (!fast.queue.empty() && !fast.has_place()) end_hanging(*fast.dialling.front());
            return std::nullopt;
        }
        scout->passes = scout->is_scout = true;
        scout->scouted = static_cast<std::uint16_t>(
            scout->scouted + 1 < scout->endpoints ? scout->scouted + 1 : 0);
        scout->keeps_rank = false;
        scout->ops->reconnect(*scout, false);
        return std::exchange(report, NetworkSuspect{report.since, never, 0, 0, report.failure});
    }

    const FleetOptions options;
    const Waker* waker = nullptr;  ///< the fleet's; null if it has none
    DialGroups groups;
    ServiceList held;  ///< in the order of their failures
    std::size_t up = 0;
    std::array<std::size_t, link_states> counts{};
    Instant next_dial = always;
    Instant proven_at = always;   ///< when a peer last gave a sign of life
    Instant wait_until = always;  ///< suspect: when the next scout dials
    Instant redial_before = always;
    bool suspect = false;
    bool dial_ended = false;  ///< in this turn
    bool released = false;    ///< the suspicion has ended; the services that wait do not know yet
    FleetWatch watch{};
    std::size_t rounds = 0;  ///< waits for scouts since the last evidence of a network

private:
    using Waits = decltype(Backoff{EqualJitter{}, Cap{forever}, Duration{1}});

    /// Returns whether all services that were connected at the first held failure have failed
    /// since.
    [[nodiscard]] bool all_failed(Instant now) noexcept {
        const Instant first = held.front()->at;
        if (up != 0 || proven_at >= first) return false;
        if (!suspect && rounds >= options.suspect_rounds_max) return false;
        // In a known outage connections fail one by one, and a dial under way is no evidence either
        // way.
        if (suspect && seeking() >= options.suspects_min) return true;
        // Nothing has shown that there was a network, and a service that waits for its first dial
        // may show it.
        if (proven_at == always && groups.queued_new != 0) return false;
        // A dial that has been silent for long, or whose service was silent at its last dial, is a
        // failure to come. Any other may connect.
        std::size_t silent = groups.slow.dialling.size();
        for (const ServiceEntry* e = groups.fast.dialling.front(); e != nullptr && e->at < first;
             e = e->next) {
            if (after(e->at, options.suspect_wait) > now) return false;
            ++silent;
        }
        return held.size() + silent >= options.suspects_min;
    }
    /// Lets the held failures count against no service, and lets all services wait for the scouts.
    std::optional<NetworkSuspect> withdraw_all(Instant now, Random& bits) {
        const bool is_new = !suspect;
        if (is_new) {
            report = {held.front()->at, never, 0, 0, held.front()->failure};
            suspect = true;
            begin_round(now, bits);
        }
        report.services += held.size();
        while (held.size() != 0) withdraw(*held.front());
        for (DialGroup* const group : {&groups.fast, &groups.slow}) {
            while (!group->queue.empty()) {
                ServiceEntry& entry = group->queue.front();
                // Otherwise the services whose dials hang would take all dials: they ask first when
                // the network is back.
                entry.keeps_rank = true;
                entry.passes = entry.is_scout = false;
                pass_on(entry, {}, true);
            }
        }
        if (!is_new) return std::nullopt;
        return std::exchange(report, NetworkSuspect{report.since, never, 0, 0, report.failure});
    }
    /// Lets a held failure count against no service.
    void withdraw(ServiceEntry& entry) {
        Failure failure = entry.failure;
        // A network that is down delivered no request of a server to wait.
        failure.retry_after = {};
        pass_on(entry, failure, true);
    }
    void release(Instant dials_before) noexcept {
        suspect = false;
        released = true;
        wait_until = always;
        redial_before = dials_before;
        touch();
    }
    void begin_round(Instant now, Random& bits) {
        report.retry_at = wait_until = after(now, waits.next(bits));
        report.times = ++rounds;
    }
    [[nodiscard]] bool is_scout_next() const noexcept {
        return suspect && !groups.fast.queue.empty() && groups.fast.queue.front().is_scout;
    }
    /// Returns the dial to end, so that its service is the scout of the next turn. There is one if
    /// all dials hang, or if all dials of services that were connected hang and it is their time.
    /// Null: there is none.
    [[nodiscard]] ServiceEntry* dial_of_scout(const ServiceEntry* scout) const noexcept {
        if (scout == nullptr) return groups.fast.queue.empty() ? groups.oldest() : nullptr;
        if (scout->was_connected || !prefers_connected()) return nullptr;
        return groups.oldest_of_connected();
    }
    /// Ends a dial, which counts against no service.
    void end_dial(ServiceEntry& entry, const Failure& failure = {}) {
        dial_ended = true;
        pass_on(entry, failure, true);
    }
    /// The same for a dial that has been silent: an Endpoints then tries the next endpoint.
    void end_hanging(ServiceEntry& entry) {
        end_dial(entry, failure_of(LinkErrc::attempt_timed_out));
    }
    /// Ends the dials that have taken too long for the fast group if the slow group has no place
    /// for them. Their services wait for one, at the rank that they have.
    void end_slow_dials(Instant now) {
        while (ServiceEntry* const entry = groups.move_slow(now, options.slow_after)) {
            end_hanging(*entry);
            entry->is_slow = entry->awaits_place = entry->keeps_rank = true;
        }
    }
    void pass_on(ServiceEntry& entry, const Failure& failure, bool withdrawn) {
        leave(entry);
        entry.phase = ServicePhase::ended;
        entry.ops->close(entry, failure, withdrawn);
    }
    void touch() const noexcept {
        if (waker != nullptr) waker->touch();
    }

    Waits waits;
    NetworkSuspect report;  // what has happened since the last event
};

inline ServiceEntry::ServiceEntry(const ServiceOps& o, Ref<DialScheduler> h, std::string n) noexcept
    : ops{&o}, scheduler{std::move(h)}, name{std::move(n)} {}
inline ServiceEntry::~ServiceEntry() = default;

}}}  // namespace belay::detail
