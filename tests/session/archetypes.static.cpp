// SPDX-License-Identifier: MIT
// Goal: the templates of the session component use only what their concepts promise.
#include <belay/session/receiver.hpp>
#include <belay/session/session.hpp>

#include "support/archetypes.hpp"
#include "support/session/session_archetypes.hpp"

using namespace belay;
using namespace belay_test;

namespace {
struct OneHookSession {
    void on_accepted(std::uint64_t) {}
};
struct OneHookReceiver {
    void on_committed(const Id&, const Progress&) {}
};
}  // namespace

template class belay::detail::SenderCore<MinimalSequenced>;
template class belay::Session<MinimalBytesTransport, MinimalRule, MinimalSessionQueue>;
template class belay::Session<MinimalBytesTransport, MinimalRule, MinimalSessionQueue,
                              OneHookSession>;
template class belay::Receiver<MinimalBytesTransport, MinimalLedger>;
template class belay::Receiver<MinimalBytesTransport, MinimalLedger, MinimalAuthorizer,
                               OneHookReceiver>;

static_assert(MachineLike<Session<MinimalBytesTransport, MinimalRule, MinimalSessionQueue>>);
static_assert(MachineLike<Receiver<MinimalBytesTransport, MinimalLedger>>);
