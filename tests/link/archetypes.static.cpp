// SPDX-License-Identifier: MIT
// Goal: the concepts of the link layer accept their minimal models, reject each near miss, and
// the templates use nothing more.
#include <belay/core/tee.hpp>
#include <belay/link/bundle.hpp>
#include <belay/link/endpoints.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/link_log.hpp>
#include <belay/link/served_link.hpp>
#include <belay/link/supervisor.hpp>

#include "support/archetypes.hpp"
#include "support/link/link_archetypes.hpp"

using namespace belay;
using namespace belay_test;

using Plain = MinimalTransport<>;
using OnLanes = MinimalTransport<MinimalLaneConnection>;
using Pinged = MinimalTransport<MinimalPingConnection>;

// ---- Explicit instantiation: every member compiles with what its concept promises ---------------

namespace {
struct MinimalPlace {
    MinimalPlace() = delete;
    int number;
};
struct MinimalPlaces {
    using message_type = MinimalMessage;
    MinimalConnection open(const Link<MinimalMessage>&, const MinimalPlace&) {
        return MinimalConnection{0};
    }
};
}  // namespace

template class belay::Link<MinimalMessage>;
template class belay::LinkHandle<MinimalMessage>;
template class belay::Completion<MinimalToken>;
template class belay::part::Slot<MinimalConnection>;
template class belay::part::CheckSender<MinimalConnection, MinimalMessage>;
template class belay::Heartbeat<Pinged>;
template class belay::Validated<Plain, MinimalCheck>;
template class belay::Bundle<Plain, Pinged, OnLanes>;
template class belay::Bundle<Plain>;
template class belay::Endpoints<MinimalPlaces, MinimalPlace>;
template class belay::ServedLink<Plain>;
template class belay::timeline::SupervisorCore<MinimalRule>;
template class belay::Supervisor<Plain, MinimalRule, NoObserver>;
template class belay::Supervisor<OnLanes, Policy<MinimalRule>, MinimalObserver>;
template class belay::Supervisor<Bundle<Plain, Heartbeat<Pinged>>, MinimalRule, NoObserver>;
template class belay::LinkLog<MinimalSink>;
// Clang before 16 instantiates members whose constraints do not hold.
#if !defined(__clang__) || __clang_major__ >= 16
template class belay::part::Wrapped<MinimalConnection, MinimalMessage>;
template class belay::WithToken<MinimalTokenTransport, MinimalSource>;
#endif
template class belay::Tee<MinimalObserver, NoObserver>;

namespace {

// ---- Near misses --------------------------------------------------------------------------------

struct CheckWithoutJudge {
    Verdict begin(const auto&);
};
struct CheckThatIsNoValue {
    CheckThatIsNoValue(const CheckThatIsNoValue&) = delete;
    Verdict begin(const auto&);
    Verdict judge(const MinimalMessage&, const auto&);
};
struct CheckThatAnswersBool {
    bool begin(const auto&);
    bool judge(const MinimalMessage&, const auto&);
};
using Sender = belay::part::CheckSender<MinimalConnection, MinimalMessage>;
static_assert(detail::CheckLike<MinimalCheck, Sender, MinimalMessage>);
static_assert(!detail::CheckLike<CheckWithoutJudge, Sender, MinimalMessage>);
static_assert(!detail::CheckLike<CheckThatIsNoValue, Sender, MinimalMessage>);
static_assert(!detail::CheckLike<CheckThatAnswersBool, Sender, MinimalMessage>);

struct SourceWithoutToken {
    void operator()(Completion<MinimalToken>);
};
struct SourceThatTakesNothing {
    using token_type = MinimalToken;
    void operator()();
};
static_assert(detail::AnswersTokens<MinimalSource>);
static_assert(!detail::AnswersTokens<SourceWithoutToken>);
static_assert(!detail::AnswersTokens<SourceThatTakesNothing>);
static_assert(detail::OpensWith<MinimalTokenTransport, MinimalToken>);
static_assert(!detail::OpensWith<Plain, MinimalToken>);

// ---- A decorator has no optional member that the transport inside lacks -------------------------

template <class T>
concept AddsNothing = TransportLike<T> && !detail::HasClose<belay::part::ConnectionOf<T>> &&
                      !detail::HasPing<belay::part::ConnectionOf<T>> &&
                      !detail::HasResumeReading<belay::part::ConnectionOf<T>>;
static_assert(AddsNothing<Plain>);
static_assert(AddsNothing<Validated<Plain, MinimalCheck>>);
static_assert(AddsNothing<WithToken<MinimalTokenTransport, MinimalSource>>);
static_assert(AddsNothing<Bundle<Plain, Plain>>);
static_assert(AddsNothing<Bundle<Plain, Bundle<Plain, Validated<Plain, MinimalCheck>>>>);
static_assert(AddsNothing<Bundle<Pinged, Plain>>, "a bundle answers pings only if all do");
using BeatingConnection = belay::part::ConnectionOf<Heartbeat<Pinged>>;
static_assert(!detail::HasClose<BeatingConnection> && !detail::HasResumeReading<BeatingConnection>);
static_assert(detail::HasPing<BeatingConnection>, "and it keeps what there is");

// The machine in which the decorators are used.
static_assert(MachineLike<Supervisor<Plain, MinimalRule, NoObserver>>);
static_assert(!std::is_move_constructible_v<Supervisor<Plain, MinimalRule, NoObserver>>);
static_assert(std::is_nothrow_destructible_v<Supervisor<Plain, MinimalRule, NoObserver>>);

// ---- Lanes --------------------------------------------------------------------------------------

static_assert(Bundle<Plain>::lane_bits == 0 && Bundle<Plain, Plain>::lane_bits == 1);
static_assert(Bundle<Plain, Plain, Plain>::lane_bits == 2);
static_assert(Bundle<Plain, Bundle<Plain, Plain, Plain>>::lane_bits == 3);
static_assert(Bundle<Plain, Validated<Bundle<Plain, Plain>, MinimalCheck>>::lane_bits == 2,
              "a decorator between bundles hides no lanes");

// ---- Nesting by deduction -----------------------------------------------------------------------

[[maybe_unused]] void deduced() {
    Supervisor nested{
        Bundle{Heartbeat{Validated{Pinged{0}, MinimalCheck{0}}, {}},
               Bundle{Plain{0}, WithToken{MinimalTokenTransport{0}, MinimalSource{0}}}},
        Policy{MinimalRule{0}},
        {},
        Tee{MinimalObserver{0}, LinkLog{MinimalSink{0}}}};
    using GroupedMachine =
        Supervisor<Bundle<Heartbeat<Validated<Pinged, MinimalCheck>>,
                          Bundle<Plain, WithToken<MinimalTokenTransport, MinimalSource>>>,
                   Policy<MinimalRule>, Tee<MinimalObserver, LinkLog<MinimalSink>>>;
    static_assert(std::is_same_v<decltype(nested), GroupedMachine>);
    Heartbeat twice{Heartbeat{Pinged{0}, {}}, {}};
    static_assert(std::is_same_v<decltype(twice), Heartbeat<Heartbeat<Pinged>>>);
    Validated checked{Validated{Plain{0}, MinimalCheck{0}}, MinimalCheck{0}};
    static_assert(
        std::is_same_v<decltype(checked), Validated<Validated<Plain, MinimalCheck>, MinimalCheck>>);
    Supervisor plain{Plain{0}, MinimalRule{0}};
    static_assert(std::is_same_v<decltype(plain), Supervisor<Plain, MinimalRule, NoObserver>>);
}

// ---- Sizes --------------------------------------------------------------------------------------

static_assert(sizeof(void*) != 8 || (sizeof(Link<int>) == 16 && sizeof(LinkStatus) == 72));
static_assert(sizeof(belay::part::ConnectionOf<Heartbeat<Pinged>>) <= 96);
static_assert(sizeof(timeline::SupervisorCore<Policy<MinimalRule>>) <= 248);

}  // namespace
