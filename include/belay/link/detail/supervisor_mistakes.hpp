// SPDX-License-Identifier: MIT
/// \file belay/link/detail/supervisor_mistakes.hpp
/// What Supervisor says of arguments that it cannot take.
#pragma once

#include <belay/core/observer.hpp>
#include <belay/link/supervisor_options.hpp>
#include <belay/link/transport_like.hpp>
#include <belay/policy/rule.hpp>

namespace belay::inline BELAY_ABI {

namespace detail {
/// In place of an observer, where one stands in the place of the options.
struct ObserverWithoutOptions {};
}  // namespace detail

/// Says what is wrong with the types it is given. The real one is specialised in supervisor.hpp.
template <class Transport, class Policy, class Observer = NoObserver>
class Supervisor {
    static_assert(explain::transport_like<Transport>());
    static_assert(explain::rule_like<Policy>());

public:
    template <class... A>
    explicit Supervisor(A&&...) {}
    void start() {}
    void stop() {}
};

template <TransportLike Transport, RuleLike Policy>
class Supervisor<Transport, Policy, detail::ObserverWithoutOptions> {
    static_assert(!sizeof(Transport),
                  "Supervisor: SupervisorOptions come before the observer: Supervisor{transport, "
                  "policy, SupervisorOptions{}, observer}");

public:
    template <class... A>
    explicit Supervisor(A&&...) {}
    void start() {}
    void stop() {}
};

template <class Transport, class Policy, class Observer>
Supervisor(Transport, Policy, Observer)
    -> Supervisor<Transport, Policy, detail::ObserverWithoutOptions>;

}  // namespace belay::inline BELAY_ABI
