// SPDX-License-Identifier: MIT
/// \file support/session/faulty.hpp
/// FaultySession, FaultyReceiver: the two ends with rules of the protocol left out.
#pragma once

#include <utility>

#include <belay/session.hpp>
#include <belay/session/detail/planted_fault.hpp>

namespace belay_test {

template <class Fault, class Transport, class Policy, class Queue, class Observer>
class FaultySession
    : public belay::detail::BasicSession<FaultySession<Fault, Transport, Policy, Queue, Observer>,
                                         Fault, Transport, Policy, Queue, Observer> {
public:
    FaultySession(Transport transport, Policy policy, Queue queue, belay::SessionOptions options,
                  Observer observer)
        : FaultySession::BasicSession{std::move(transport), std::move(policy), std::move(queue),
                                      std::move(options), std::move(observer)} {}
};

template <class Fault, class Transport, class Ledger, class Authorize, class Observer>
class FaultyReceiver : public belay::detail::BasicReceiver<
                           FaultyReceiver<Fault, Transport, Ledger, Authorize, Observer>, Fault,
                           Transport, Ledger, Authorize, Observer> {
public:
    FaultyReceiver(Ledger ledger, belay::ReceiverOptions options, Observer observer)
        : FaultyReceiver::BasicReceiver{std::move(ledger), Authorize{}, options,
                                        std::move(observer)} {}
    FaultyReceiver(Ledger ledger, Authorize authorize, belay::ReceiverOptions options,
                   Observer observer)
        : FaultyReceiver::BasicReceiver{std::move(ledger), std::move(authorize), options,
                                        std::move(observer)} {}
};

}  // namespace belay_test
