// SPDX-License-Identifier: MIT
/// \file belay/fleet/detail/dial_scheduler.hpp
/// DialScheduler: decides which service may dial, and whether the network has failed.
#pragma once

#include <array>     // std::array
#include <optional>  // std::optional
#include <string>    // std::string
#include <utility>   // std::exchange, std::move

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/cap.hpp>
#include <belay/backoff/equal_jitter.hpp>
#include <belay/fleet/detail/service_entry.hpp>
#include <belay/fleet/fleet_options.hpp>
#include <belay/fleet/network_suspect.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

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
        : options{o}, waits{EqualJitter{}, Cap{o.suspect_wait_max}, o.suspect_wait} {}

    // ---- the steps of a connection -------------------------------------------------------------

    /// Queues a service that wants to dial.   Throws: std::bad_alloc.
    void enqueue(ServiceEntry& entry) {
        leave(entry);
        // Priority is a head start and not an absolute rank, so a waiting service eventually
        // precedes all services that ask later.
        const auto steps = static_cast<std::uint64_t>(entry.priority);
        entry.at = entry.is_scout ? always
                                  : before(entry.asked_at,
                                           part::saturating_multiply(options.head_start, steps));
        queue.push(entry);
        entry.phase = ServicePhase::queued;
        touch();
    }
    void connected(ServiceEntry& entry, Instant now) noexcept {
        if (entry.phase != ServicePhase::dialling) return;
        end_suspicion(entry, now);
        leave(entry);
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
                queue.remove(entry);
                break;
            case ServicePhase::dialling:
                dialling.remove(entry);
                if (!queue.empty()) touch();
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
        Instant due = suspect ? wait_until : never;
        if (!queue.empty() && (dialling.size() < options.dials_max || is_scout_next())) {
            due = smaller(due, next_dial);
        }
        if (held.size() != 0) due = smaller(due, after(held.front()->at, options.hold));
        return due;
    }
    /// Starts the dials that are due. If this turn has ended a dial, its connection is still open,
    /// so the next turn dials.
    void let_dial(Instant now) {
        while (!queue.empty() && next_dial <= now && !dial_ended) {
            if (dialling.size() >= options.dials_max) {
                // Dials that hang must not hide that the network is back.
                if (is_scout_next()) end_dial();
                return;
            }
            ServiceEntry& entry = queue.front();
            // This comes first: if there is no memory, the service stays in the queue.
            entry.ops->dial(entry);
            queue.remove(entry);
            entry.phase = ServicePhase::dialling;
            entry.passes = entry.is_scout = false;
            entry.at = now;
            dialling.push(entry);
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
        while (dialling.size() != 0 && dialling.front()->at < redial_before) {
            ServiceEntry& entry = *dialling.front();
            end_dial();
            entry.ops->resume(entry);
        }
        redial_before = always;
    }
    /// Returns whether a service must find out now whether the network is back.
    [[nodiscard]] bool scout_due(Instant now) const noexcept {
        return suspect && wait_until <= now;
    }
    /// Sends a service to dial while the others wait. Null: none waits for the network, or services
    /// in line, which need not wait for it, dial instead.
    /// Returns: the event to report, unless the suspicion has ended.
    std::optional<NetworkSuspect> send_scout(ServiceEntry* scout, Instant now, Random& bits) {
        if (seeking() < options.suspects_min) {
            // Too few are left to blame the network.
            release(always);
            return std::nullopt;
        }
        if (scout == nullptr && queue.empty() && dialling.size() != 0) {
            // All dials hang. The service of the oldest is the scout of the next turn.
            end_dial();
            return std::nullopt;
        }
        if (rounds >= options.suspect_rounds_max) {
            release(always);
            return std::nullopt;
        }
        begin_round(now, bits);
        if (scout == nullptr) {
            if (!queue.empty() && dialling.size() >= options.dials_max) end_dial();
            return std::nullopt;
        }
        scout->passes = scout->is_scout = true;
        scout->keeps_rank = false;
        scout->ops->reconnect(*scout, false);
        return std::exchange(report, NetworkSuspect{report.since, never, 0, 0, report.failure});
    }

    const FleetOptions options;
    const Waker* waker = nullptr;  ///< the fleet's; null if it has none
    DialQueue queue;
    ServiceList dialling;  ///< in the order of their dials
    ServiceList held;      ///< in the order of their failures
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
        // A dial that has been silent for long is a failure to come. A younger one may connect.
        std::size_t silent = 0;
        for (const ServiceEntry* e = dialling.front(); e != nullptr && e->at < first; e = e->next) {
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
        while (held.size() != 0) {
            Failure failure = held.front()->failure;
            // A network that is down delivered no request of a server to wait.
            failure.retry_after = {};
            pass_on(*held.front(), failure, true);
        }
        while (!queue.empty()) {
            // Otherwise the services whose dials hang would take all dials: they ask first when the
            // network is back.
            queue.front().keeps_rank = true;
            queue.front().passes = queue.front().is_scout = false;
            pass_on(queue.front(), {}, true);
        }
        if (!is_new) return std::nullopt;
        return std::exchange(report, NetworkSuspect{report.since, never, 0, 0, report.failure});
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
    [[nodiscard]] bool is_scout_next() const noexcept { return suspect && queue.front().is_scout; }
    /// Ends the oldest dial, which counts against no service.
    void end_dial() {
        dial_ended = true;
        pass_on(*dialling.front(), {}, true);
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
