// SPDX-License-Identifier: MIT
/// \file belay/session/receiver.hpp
/// Receiver: the other end of sessions; lets each operation take effect exactly once, in order.
#pragma once

#include <utility>  // std::move

#include <belay/session/detail/basic_receiver.hpp>
#include <belay/session/detail/planted_fault.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Serves sessions over connections that a listener hands it, into one ledger.
///
/// Of several connections of one sender only the newest is served: it fences the others, so that a
/// frozen process that wakes up again does no harm. A connection is never answered with progress
/// that is not durable.
///
/// Its members are in detail/basic_receiver.hpp.
///
/// Models:        MachineLike.
/// Thread safety: home thread only.
/// Source:        docs/session-protocol.md, section 5.2.
template <class Transport, class Ledger, class Authorize = AllowAll, class Observer = NoObserver>
class Receiver
    : public detail::BasicReceiver<Receiver<Transport, Ledger, Authorize, Observer>,
                                   detail::NoFault, Transport, Ledger, Authorize, Observer> {
public:
    template <class A = Authorize>
        requires std::default_initializable<A>
    explicit Receiver(Ledger ledger, ReceiverOptions options = {}, Observer observer = {})
        : Receiver{std::move(ledger), A{}, options, std::move(observer)} {}
    Receiver(Ledger ledger, Authorize authorize, ReceiverOptions options = {},
             Observer observer = {})
        : Receiver::BasicReceiver{std::move(ledger), std::move(authorize), options,
                                  std::move(observer)} {}
};

}}  // namespace belay
