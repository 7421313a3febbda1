// SPDX-License-Identifier: MIT
/// \file belay/session/session_service.hpp
/// Lets a Fleet have a Session as a service.
///
///     auto& orders = fleet.add("orders", transport, policy, Queue{std::move(*journal)},
///                              SessionOptions{.id = id}, App{});
///     orders.start();
///     orders.send(operation);
///
/// A type that stores the service writes `Session<Transport, Policy, Queue, App>::Service*`.
#pragma once

#include <cstdint>      // std::uint64_t
#include <string_view>  // std::string_view
#include <utility>      // std::move

#include <belay/core/machine_group.hpp>
#include <belay/fleet/detail/scheduled_transport.hpp>
#include <belay/fleet/detail/service_calls.hpp>
#include <belay/session/session.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The fleet's decorator stays the outermost, so that a dial counts until the receiver has resumed
/// the session.
template <class Transport, class Check>
struct CheckedTransport<ScheduledTransport<Transport>, Check> {
    using type = ScheduledTransport<Validated<Transport, Check>>;
    [[nodiscard]] static type make(ScheduledTransport<Transport> transport, Check check) {
        return {Validated{std::move(transport.inner()), std::move(check)}, transport.entry()};
    }
};

/// A service of a Fleet: a Session with all its commands.
///
/// The fleet makes it. It is valid until it is removed, and if it is removed in one of its own
/// hooks, until that hook returns.
///
/// Its attempts wait in LinkState::connecting for their turn to dial. The limit of an attempt runs
/// from the dial on. A dial counts until the receiver has resumed the session.
///
/// Thread safety: as Session.
template <class Transport, class Policy, class Queue, class Observer>
class SessionService : private ServiceEntry,
                       public Session<ScheduledTransport<Transport>, FleetPolicy<Policy>, Queue,
                                      ServiceObserver<Observer>> {
    using Entry = ServiceEntry;
    using Base = Session<ScheduledTransport<Transport>, FleetPolicy<Policy>, Queue,
                         ServiceObserver<Observer>>;

public:
    using Service = SessionService;

    /// Makes a service. For the fleet.
    SessionService(NewService service, Transport transport, Policy policy, Queue queue,
                   SessionOptions options, Observer observer)
        : Entry{ServiceCalls<SessionService>::table, std::move(service.scheduler),
                std::move(service.name)},
          Base{ScheduledTransport<Transport>{std::move(transport), *this},
               fleet_policy(std::move(policy), *this), std::move(queue), options,
               ServiceObserver<Observer>{this, std::move(observer)}} {
        this->priority = options.priority;
    }

    /// Connects now, as Session::reconnect_now() does. It also does not wait while the network is
    /// suspect.
    Reconnect reconnect_now(bool force = false) {
        const Reconnect granted = Base::reconnect_now(force);
        let_pass(*this, granted, Base::link().status());
        return granted;
    }

    [[nodiscard]] std::string_view name() const noexcept { return Entry::name; }
    [[nodiscard]] auto& observer() noexcept { return unwrap(Base::observer().user); }

private:
    template <class>
    friend struct ServiceCalls;

    [[nodiscard]] std::uint64_t queued() const noexcept { return Base::depth(); }

    driver::GroupedMachine<SessionService> self_;
};

template <>
struct ServiceKind<SessionOptions> {
    static constexpr bool is_known = true;
    template <class Transport, class Policy, class Queue, class Observer>
    using Made = SessionService<Transport, Policy, Queue, Observer>;
};

}  // namespace detail

}}  // namespace belay
