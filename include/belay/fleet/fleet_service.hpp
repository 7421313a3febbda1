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
#include <belay/fleet/detail/service_calls.hpp>
#include <belay/fleet/detail/service_observer.hpp>
#include <belay/link/supervisor.hpp>

namespace belay { inline namespace BELAY_ABI {

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
        : Entry{detail::ServiceCalls<FleetService>::table, fleet, std::move(called)},
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
        detail::let_pass(*this, granted, Base::status());
        return granted;
    }

    [[nodiscard]] std::string_view name() const noexcept { return Entry::name; }
    [[nodiscard]] auto& observer() noexcept { return detail::unwrap(Base::observer().user); }
    [[nodiscard]] Transport& transport() noexcept { return Base::transport().inner(); }

private:
    template <class>
    friend struct detail::ServiceCalls;
    using Depth = detail::Function<std::size_t()>;

    [[nodiscard]] std::size_t queued() const { return queued_ ? (*queued_)() : 0; }
    [[nodiscard]] bool in_turn() const noexcept { return detail::LifetimeFlagOf::in_turn(*this); }
    [[nodiscard]] Base& link() noexcept { return *this; }
    [[nodiscard]] const Base& link() const noexcept { return *this; }

    std::unique_ptr<Depth> queued_;  // on the heap, because few services have one
    driver::GroupedMachine<FleetService> self_;
};

}}  // namespace belay
