// SPDX-License-Identifier: MIT
/// \file belay/fleet/fleet_service.hpp
/// FleetService: a Supervisor that is part of a Fleet.
#pragma once

#include <memory>       // std::unique_ptr
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move

#include <belay/core/machine_group.hpp>
#include <belay/fleet/detail/fleet_rules.hpp>
#include <belay/fleet/detail/scheduled_transport.hpp>
#include <belay/fleet/detail/service_observer.hpp>
#include <belay/link/supervisor.hpp>

namespace belay { inline namespace BELAY_ABI {

template <class Observer>
class Fleet;

/// A service of a Fleet: a Supervisor with all its commands.
///
/// The fleet makes it. It is valid until it is removed, and if it is removed in one of its own
/// hooks, until that hook returns.
///
/// Its attempts wait in LinkState::connecting for their turn to dial. The limit of an attempt runs
/// from the dial on.
///
/// Thread safety: as Supervisor.
template <class Transport, class Policy, class Observer>
class FleetService
    : private detail::ServiceEntry,
      public Supervisor<detail::ScheduledTransport<Transport>, detail::FleetPolicy<Policy>,
                        detail::ServiceObserver<Observer>> {
    using Entry = detail::ServiceEntry;
    using Base = Supervisor<detail::ScheduledTransport<Transport>, detail::FleetPolicy<Policy>,
                            detail::ServiceObserver<Observer>>;

public:
    /// Makes a service. For the fleet.
    FleetService(const detail::Ref<detail::DialScheduler>& fleet, std::string called,
                 Transport transport, Policy policy, ServiceOptions& options, Observer observer)
        : Entry{table, fleet, std::move(called)},
          Base{detail::ScheduledTransport<Transport>{std::move(transport), *this},
               detail::fleet_policy(std::move(policy), *this), options.supervisor,
               detail::ServiceObserver<Observer>{this, std::move(observer)}},
          queued_{options.queued ? std::make_unique<Depth>(std::move(options.queued)) : nullptr} {
        this->priority = options.priority;
    }

    /// Attempts now, as Supervisor::reconnect_now() does. It also does not wait while the network
    /// is suspect.
    Reconnect reconnect_now(bool force = false) {
        const Reconnect granted = Base::reconnect_now(force);
        // A live connection is opened anew now or not at all.
        const bool waits = granted.until != never && Base::status().state != LinkState::connected;
        if (granted.granted || waits) this->passes = true;
        return granted;
    }

    [[nodiscard]] std::string_view name() const noexcept { return Entry::name; }
    [[nodiscard]] auto& observer() noexcept { return detail::unwrap(Base::observer().user); }
    [[nodiscard]] Transport& transport() noexcept { return Base::transport().inner(); }

private:
    template <class>
    friend class Fleet;
    using Depth = detail::Function<std::size_t()>;

    static FleetService& of(Entry& entry) noexcept { return static_cast<FleetService&>(entry); }
    static const FleetService& of(const Entry& entry) noexcept {
        return static_cast<const FleetService&>(entry);
    }
    static constexpr detail::ServiceOps make_table() noexcept {
        return {
            .status = [](const Entry& s) noexcept -> const LinkStatus& { return of(s).status(); },
            .queued = [](const Entry& s) -> std::size_t {
                const auto& depth = of(s).queued_;
                return depth ? (*depth)() : 0;
            },
            .in_turn = [](const Entry& s) noexcept { return detail::LifelineOf::in_turn(of(s)); },
            .start = [](Entry& s) { of(s).start(); },
            .stop = [](Entry& s) { of(s).stop(); },
            .reconnect = [](Entry& s, bool force) { return of(s).reconnect_now(force); },
            .may_attempt =
                [](const Entry& s, Instant now) noexcept {
                    return of(s).core().manual_attempt_at(now, false) <= now;
                },
            .resume = [](Entry& s) { of(s).Base::reconnect_now(); },
            .unhealthy = [](Entry& s, const Failure& why) { of(s).report_unhealthy(why); },
            .dial =
                [](Entry& s) {
                    if (auto* const c = of(s).Base::transport().live()) c->dial();
                },
            .close =
                [](Entry& s, const Failure& why, bool withdrawn) {
                    if (auto* const c = of(s).Base::transport().live()) c->end(why, withdrawn);
                },
            .end =
                [](Entry& s) noexcept {
                    // The service is first moved out of itself, and then destroyed.
                    auto self = std::move(of(s).self_);
                    self.reset();
                }};
    }
    static const detail::ServiceOps table;

    std::unique_ptr<Depth> queued_;  // on the heap, because few services have one
    driver::GroupedMachine<FleetService> self_;
};

template <class Transport, class Policy, class Observer>
constinit const detail::ServiceOps FleetService<Transport, Policy, Observer>::table =
    FleetService<Transport, Policy, Observer>::make_table();

}}  // namespace belay
