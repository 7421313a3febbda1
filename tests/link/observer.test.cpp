// SPDX-License-Identifier: MIT
// Goal: every documented form of every hook is called with the right arguments, in every form of
// observer; a wrong form does not compile. Method: one scenario with all events.
#include <belay/link/supervisor.hpp>

#include "support/core/observed_in_every_form.hpp"
#include "support/link/link_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;
using belay_test::FakeTransport;
using belay_test::TransportState;

namespace {

/// Connects, receives, is busy, and fails to send; returns the events that `O` saw.
template <class O>
Observed watched(O observer) {
    TransportState transport;
    Observed observed;
    observer.observed = &observed;
    LinkRig<FakeTransport<>, O> rig{FakeTransport<>{transport}, observer};
    rig.start();
    transport.link.opened();
    rig.run(0s);
    receive(transport.link, "m");
    transport.link.writable();
    rig.run(0s);
    transport.answer = SendResult::down;
    static_cast<void>(rig.link.handle().post("p", 0));
    rig.run(0s);
    return observed;
}

struct Full {
    Observed* observed = nullptr;
    void on_state(auto& link, const Transition& t) {
        observed->push_back(std::string{"s"} + std::to_string(link.status() == t.to));
    }
    void on_message(auto& link, std::string m, Lane l) {
        observed->push_back(m + std::to_string(l) + std::to_string(link.now() == at(0s)));
    }
    void on_writable(auto& link, Lane l) {
        observed->push_back(std::string{"w"} + std::to_string(l) +
                            std::to_string(link.now() == at(0s)));
    }
    void on_unsent(auto& link, std::string m, Lane l) {
        observed->push_back(std::string{"u"} + m + std::to_string(l) +
                            std::to_string(link.now() == at(0s)));
    }
};
struct Short {
    Observed* observed = nullptr;
    void on_state(const Transition&) { observed->emplace_back("s"); }
    void on_message(const std::string& m, Lane l) { observed->push_back(m + std::to_string(l)); }
    void on_writable(Lane l) { observed->push_back(std::string{"w"} + std::to_string(l)); }
    void on_unsent(std::string m, Lane) { observed->push_back(std::string{"u"} + m); }
};
struct Shortest {
    Observed* observed = nullptr;
    void on_message(std::string&& m) { observed->push_back(m); }
};
struct WithLink {
    Observed* observed = nullptr;
    void on_message(auto& link, std::string m) {
        observed->push_back(m + std::string{to_string(link.status().state)});
    }
};
struct OnlyUnsent {
    Observed* observed = nullptr;
    void on_unsent(std::string m, Lane) { observed->push_back(std::string{"u"} + m); }
};
struct OnlyWritable {
    Observed* observed = nullptr;
    void on_writable(Lane) { observed->emplace_back("w"); }
};

/// The same events for an observer that is passed in any form.
const auto lifecycle_of_a_link = [](auto observer) {
    TransportState transport;
    LinkRig<FakeTransport<>, decltype(observer)> rig{FakeTransport<>{transport},
                                                     std::move(observer)};
    rig.start();
    transport.link.opened();
    rig.run(0s);
    transport.link.report(part::Report::round_trip, 3s);
    transport.link.report(part::Report::policy_conflict, 45s);
    receive(transport.link, "long enough to be on the heap");
    transport.link.writable();
    rig.run(0s);
    transport.answer = SendResult::down;
    static_cast<void>(rig.link.handle().post("posted", 3));
    rig.run(0s);
};
const Recorded all_of_a_link{"connecting",
                             "connected",
                             "round trip 3 on 0",
                             "conflict 45 on 0",
                             "long enough to be on the heap on 0",
                             "room 0",
                             "unsent posted 3"};

struct LinkRecorder {
    Recorded& reported;
    void on_state(const Transition& t) { reported.emplace_back(to_string(t.to.state)); }
    void on_message(std::string m, Lane l) { reported.push_back(m + " on " + std::to_string(l)); }
    void on_writable(Lane l) { reported.push_back("room " + std::to_string(l)); }
    void on_unsent(std::string m, Lane l) {
        reported.push_back("unsent " + m + " " + std::to_string(l));
    }
    void on_round_trip(Duration d, Lane l) {
        reported.push_back("round trip " + std::to_string(d / 1s) + " on " + std::to_string(l));
    }
    void on_policy_conflict(Duration d, Lane l) {
        reported.push_back("conflict " + std::to_string(d / 1s) + " on " + std::to_string(l));
    }
};
struct LinkRecorderWithMachine {
    Recorded& reported;
    void on_state(auto& link, const Transition& t) {
        if (link.status() == t.to) LinkRecorder{reported}.on_state(t);
    }
    void on_message(auto& link, std::string&& m, Lane l) {
        if (link.now() == at(0s)) LinkRecorder{reported}.on_message(std::move(m), l);
    }
    void on_writable(auto& link, Lane l) {
        if (link.now() == at(0s)) LinkRecorder{reported}.on_writable(l);
    }
    void on_unsent(auto& link, const std::string& m, Lane l) {
        if (link.now() == at(0s)) LinkRecorder{reported}.on_unsent(m, l);
    }
    void on_round_trip(auto& link, Duration d, Lane l) {
        if (link.now() == at(0s)) LinkRecorder{reported}.on_round_trip(d, l);
    }
    void on_policy_conflict(auto& link, const Duration& d, Lane l) {
        if (link.now() == at(0s)) LinkRecorder{reported}.on_policy_conflict(d, l);
    }
};
struct LinkAllWrong : NoObserver {
    void on_state(Transition&);
    void on_message(auto&, auto&, auto&);
    void on_writable(const char*);
    void on_writable();
    void on_unsent(std::string);
    void on_round_trip(std::string);
    void on_policy_conflict(Duration);
};
using AnyLink = Supervisor<FakeTransport<>, decltype(doubling()), NoObserver>;
using LinkHooks = detail::SupervisorHooks<AnyLink, std::string>;
static_assert(!LinkHooks::State::right<LinkAllWrong> && !LinkHooks::Message::right<LinkAllWrong>);
static_assert(!LinkHooks::Writable::right<LinkAllWrong> && !LinkHooks::Unsent::right<LinkAllWrong>);
static_assert(!LinkHooks::RoundTrip::right<LinkAllWrong> &&
              !LinkHooks::PolicyConflict::right<LinkAllWrong>);

}  // namespace

TEST_CASE("Supervisor calls each hook, in every form of observer", "[link][observer][unit]") {
    observed_in_every_form<LinkRecorder>(lifecycle_of_a_link, all_of_a_link);
    observed_in_every_form<LinkRecorderWithMachine>(lifecycle_of_a_link, all_of_a_link);
}

TEST_CASE("Observers of a Supervisor may declare that they have no hooks",
          "[link][observer][unit]") {
    struct WithoutHooks : NoObserver {};
    lifecycle_of_a_link(WithoutHooks{});
    WithoutHooks silent;
    lifecycle_of_a_link(std::ref(silent));
}

TEST_CASE("Hooks are called in every documented form", "[link][observer][unit]") {
    CHECK(watched(Full{}) == Observed{"s1", "s1", "m01", "w01", "up01"});
    CHECK(watched(Short{}) == Observed{"s", "s", "m0", "w0", "up"});
    CHECK(watched(Shortest{}) == Observed{"m"});
    CHECK(watched(WithLink{}) == Observed{"mconnected"});
    CHECK(watched(OnlyUnsent{}) == Observed{"up"});
    CHECK(watched(OnlyWritable{}) == Observed{"w"});
}

TEST_CASE("Supervisor calls on_writable only while it is connected",
          "[link][observer][regression]") {
    TransportState transport;
    LinkRig rig{FakeTransport<>{transport}};
    rig.start();
    transport.link.writable();
    rig.run(0s);
    CHECK(rig.notes.observed == Observed{"connecting"});
}
