// SPDX-License-Identifier: MIT
// Goal: a Tee passes every hook on, in order, to each observer that has it, and survives its own
// destruction. Method: recording observers.
#include <belay/core/tee.hpp>

#include <memory>
#include <optional>

#include "support/link/link_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;
using belay_test::FakeTransport;
using belay_test::TransportState;

namespace {

struct ObservesEvents {
    Observed* observed;
    std::string name;
    void on_state(const Transition& t) {
        observed->push_back(name + std::string{to_string(t.to.state)});
    }
    void on_message(const std::string& m) { observed->push_back(name + m); }
    void on_unsent(auto&, const std::string& m, Lane) { observed->push_back(name + "unsent " + m); }
};
struct ObservesWritable {
    Observed* observed;
    void on_writable(auto& link, Lane lane) {
        observed->push_back("room on " + std::to_string(lane) +
                            (link.status().state == LinkState::connected ? "" : "?"));
    }
};

}  // namespace

TEST_CASE("Tee passes every hook on, in order", "[link][tee][unit]") {
    TransportState transport;
    Observed observed;
    LinkRig<FakeTransport<>, Tee<ObservesEvents, ObservesWritable, NoObserver, ObservesEvents>> rig{
        FakeTransport<>{transport},
        Tee{ObservesEvents{&observed, "a:"}, ObservesWritable{&observed}, NoObserver{},
            ObservesEvents{&observed, "b:"}}};
    rig.start();
    transport.link.opened();
    rig.run(0s);
    receive(transport.link, "m");
    transport.link.writable();
    rig.run(0s);
    transport.answer = SendResult::busy;
    static_cast<void>(rig.link.handle().post("p"));
    rig.run(0s);
    CHECK(observed == Observed{"a:connecting", "b:connecting", "a:connected", "b:connected", "a:m",
                               "b:m", "room on 0", "a:unsent p", "b:unsent p"});
    CHECK(rig.link.observer().get<0>().name == "a:");
}

TEST_CASE("Tee may hold a reference to an observer", "[link][tee][unit]") {
    TransportState transport;
    Notes notes;
    Observed observed;
    using T = Tee<ObservesEvents, std::reference_wrapper<Notes>>;
    LinkRig<FakeTransport<>, T> rig{FakeTransport<>{transport},
                                    T{ObservesEvents{&observed, ""}, std::ref(notes)}};
    rig.start();
    CHECK(notes.observed == Observed{"connecting"});
    CHECK(observed == notes.observed);
}

TEST_CASE("Tee stops when a hook has destroyed the supervisor", "[link][tee][regression]") {
    TransportState transport;
    Observed observed;
    struct Kills {
        std::function<void()>* kill;
        void on_state(const Transition&) { (*kill)(); }
    };
    using T = Tee<ObservesEvents, Kills, ObservesEvents>;
    using S = Supervisor<FakeTransport<>, decltype(doubling()), T>;
    std::unique_ptr<S> link;
    std::function<void()> kill = [&] { link.reset(); };
    link = std::make_unique<S>(
        FakeTransport<>{transport}, doubling(), SupervisorOptions{},
        T{ObservesEvents{&observed, "a:"}, Kills{&kill}, ObservesEvents{&observed, "b:"}});
    link->start();
    link->advance(at(0s));
    CHECK(link == nullptr);
    CHECK(observed == Observed{"a:connecting"});
    // The Tee is passed by reference and outlives the supervisor. It must not call further
    // observers.
    T elsewhere{ObservesEvents{&observed, "c:"}, Kills{&kill}, ObservesEvents{&observed, "d:"}};
    using R = Supervisor<FakeTransport<>, decltype(doubling()), std::reference_wrapper<T>>;
    std::unique_ptr<R> other;
    kill = [&] { other.reset(); };
    other = std::make_unique<R>(FakeTransport<>{transport}, doubling(), SupervisorOptions{},
                                std::ref(elsewhere));
    other->start();
    other->advance(at(0s));
    CHECK(other == nullptr);
    CHECK(observed == Observed{"a:connecting", "c:connecting"});
}

TEST_CASE("Tee may refer to the owner of its supervisor", "[link][tee][unit]") {
    // The owner is incomplete where the type of the supervisor is named.
    struct Owner {
        Observed observed;
        TransportState transport;
        Supervisor<FakeTransport<>, decltype(doubling()),
                   Tee<ObservesEvents, std::reference_wrapper<Owner>>>
            link{FakeTransport<>{transport},
                 doubling(),
                 {},
                 Tee<ObservesEvents, std::reference_wrapper<Owner>>{ObservesEvents{&observed, "a:"},
                                                                    std::ref(*this)}};
        void on_state(const Transition& t) { observed.emplace_back(to_string(t.to.state)); }
    } owner;
    owner.link.start();
    owner.link.advance(at(0s));
    CHECK(owner.observed == Observed{"a:connecting", "connecting"});
}
