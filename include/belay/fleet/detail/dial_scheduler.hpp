// SPDX-License-Identifier: MIT
/// \file belay/fleet/detail/dial_scheduler.hpp
/// DialScheduler: who may dial, and whether it is the network that failed.
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

/// What the services of a fleet share; outlives it while there are services.
///
/// Thread safety: the fleet's home thread.
struct DialScheduler : Counted {
    explicit DialScheduler(const FleetOptions& o)
        : options{o}, waits{EqualJitter{}, Cap{o.suspect_wait_max}, o.suspect_wait} {}

    // ---- a connection's way --------------------------------------------------------------------

    /// A service wants to dial.   Throws: std::bad_alloc.
    void enter_line(ServiceEntry& entry) {
        leave(entry);
        // Not a rank above all lower ones: whoever waits gets ahead of those that ask later.
        const auto steps = static_cast<std::uint64_t>(entry.priority);
        entry.at = before(entry.asked_at, part::saturating_multiply(options.head_start, steps));
        line.push(entry);
        entry.phase = ServicePhase::in_line;
        touch();
    }
    void connected(ServiceEntry& entry, Instant now) noexcept {
        if (entry.phase != ServicePhase::dialling) return;
        leave(entry);
        entry.phase = ServicePhase::connected;
        ++up;
        prove(now);
    }
    /// A connection failed in a way that the network may be the cause of: it waits for judge().
    void hold(ServiceEntry& entry, const Failure& failure, Instant now) noexcept {
        leave(entry);
        entry.phase = ServicePhase::held;
        entry.at = now;
        entry.was_held = true;
        entry.told_at = always;
        entry.failure = failure;
        held.push(entry);
        touch();
    }
    /// Its connection is no more.
    void leave(ServiceEntry& entry) noexcept {
        switch (entry.phase) {
            case ServicePhase::in_line:
                line.remove(entry);
                break;
            case ServicePhase::dialling:
                dialling.remove(entry);
                if (!line.empty()) touch();
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
    /// Something was heard from beyond: the network works.
    void prove(Instant now) noexcept {
        proven_at = larger(proven_at, now);
        suspect = false;
        wait_until = always;
        waits.reset();
    }
    /// A service has gone from one state to another.
    void moved(ServiceEntry& entry, LinkState to) noexcept {
        --count(entry.counted);
        entry.counted = to;
        ++count(to);
    }
    [[nodiscard]] std::size_t& count(LinkState state) noexcept {
        return counts[static_cast<std::size_t>(state)];
    }
    /// Those that are connected, or want to be.
    [[nodiscard]] std::size_t seeking() noexcept {
        return count(LinkState::connecting) + count(LinkState::connected) +
               count(LinkState::cooldown) + count(LinkState::suspended);
    }

    // ---- a fleet's turn ------------------------------------------------------------------------

    [[nodiscard]] Instant deadline() const noexcept {
        Instant due = never;
        if (!line.empty() && dialling.size() < options.dials_max) due = next_dial;
        if (held.size() != 0) due = smaller(due, after(held.front()->at, options.hold));
        return due;
    }
    /// Lets dial whose turn it is.
    void let_dial(Instant now) {
        while (!line.empty() && dialling.size() < options.dials_max && next_dial <= now) {
            ServiceEntry& entry = line.front();
            // First: without memory it stays in line.
            entry.ops->dial(entry);
            line.remove(entry);
            entry.phase = ServicePhase::dialling;
            entry.passes = false;
            entry.at = now;
            dialling.push(entry);
            next_dial = after(now, options.dial_gap);
        }
    }
    /// Judges the failures that were held long enough.
    /// Returns: what to tell, if the network is suspect.
    std::optional<NetworkSuspect> judge(Instant now, Random& bits) {
        std::optional<NetworkSuspect> found;
        while (held.size() != 0 && after(held.front()->at, options.hold) <= now) {
            if (all_failed()) {
                if (auto what = condemn(now, bits)) found = what;
            } else {
                ServiceEntry& entry = *held.front();
                pass_on(entry, entry.failure);
            }
        }
        return found;
    }

    const FleetOptions options;
    const Waker* waker = nullptr;  ///< the fleet's; null without one
    DialQueue line;
    ServiceList dialling;  ///< in the order of their dials
    ServiceList held;      ///< in the order of their failures
    std::size_t up = 0;
    std::array<std::size_t, link_states> counts{};
    Instant next_dial = always;
    Instant proven_at = always;   ///< when something was last heard from beyond
    Instant wait_until = always;  ///< no attempt before this, while the network is suspect
    bool suspect = false;

private:
    using Waits = decltype(Backoff{EqualJitter{}, Cap{forever}, Duration{1}});

    /// Whether all that were alive when the first of the held failed have failed by now.
    [[nodiscard]] bool all_failed() noexcept {
        const Instant first = held.front()->at;
        if (up != 0 || proven_at >= first) return false;
        // In an outage that is known they fail one by one, and who still dials is no witness.
        if (suspect && seeking() >= options.suspects_min) return true;
        return held.size() >= options.suspects_min &&
               (dialling.size() == 0 || dialling.front()->at >= first);
    }
    /// It was the network: nobody's failure, one common wait.
    std::optional<NetworkSuspect> condemn(Instant now, Random& bits) {
        NetworkSuspect what{held.front()->at, never, held.size(), 0, held.front()->failure};
        while (held.size() != 0) {
            Failure planned = held.front()->failure;
            planned.cause = Cause::planned;
            // Nothing of what a server asked for came through a network that is down.
            planned.retry_after = {};
            pass_on(*held.front(), planned);
        }
        while (!line.empty()) {
            // Or those that hang in each dial, and ask first whenever all do, had all dials.
            line.front().keeps_rank = true;
            pass_on(line.front(), {.cause = Cause::planned});
        }
        // Latecomers join the wait that the others are in.
        if (std::exchange(suspect, true) && wait_until > now) return std::nullopt;
        what.retry_at = wait_until = after(now, waits.next(bits));
        what.times = static_cast<std::size_t>(waits.attempts());
        return what;
    }
    void pass_on(ServiceEntry& entry, const Failure& failure) {
        leave(entry);
        entry.phase = ServicePhase::judged;
        entry.ops->close(entry, failure);
    }
    void touch() const noexcept {
        if (waker != nullptr) waker->touch();
    }

    Waits waits;
};

inline ServiceEntry::ServiceEntry(const ServiceOps& o, Ref<DialScheduler> h, std::string n) noexcept
    : ops{&o}, scheduler{std::move(h)}, name{std::move(n)} {}
inline ServiceEntry::~ServiceEntry() = default;

}}}  // namespace belay::detail
