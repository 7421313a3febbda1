// SPDX-License-Identifier: MIT
// Goal: every documented form of every hook is called, with the right arguments, and nothing else
// is.
#include <belay/link/observer.hpp>

#include "support/link/link_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;
using belay_test::FakeTransport;
using belay_test::Wire;

namespace {

/// Connects, receives, is busy, and fails to send; what `O` saw of it.
template <class O>
Seen watched(O observer) {
    Wire wire;
    Seen seen;
    observer.seen = &seen;
    LinkRig<FakeTransport<>, O> rig{FakeTransport<>{wire}, observer};
    rig.start();
    wire.link.opened();
    rig.run(0s);
    receive(wire.link, "m");
    wire.link.writable();
    rig.run(0s);
    wire.answer = SendResult::down;
    rig.link.handle().post("p", 0);
    rig.run(0s);
    return seen;
}

struct Full {
    Seen* seen = nullptr;
    void on_state(auto& link, const Transition& t) {
        seen->push_back(std::string{"s"} + std::to_string(link.status() == t.to));
    }
    void on_message(auto& link, std::string m, Lane l) {
        seen->push_back(m + std::to_string(l) + std::to_string(link.now() == at(0s)));
    }
    void on_writable(auto& link, Lane l) {
        seen->push_back(std::string{"w"} + std::to_string(l) +
                        std::to_string(link.now() == at(0s)));
    }
    void on_unsent(auto& link, std::string m, Lane l) {
        seen->push_back(std::string{"u"} + m + std::to_string(l) +
                        std::to_string(link.now() == at(0s)));
    }
};
struct Short {
    Seen* seen = nullptr;
    void on_state(const Transition&) { seen->emplace_back("s"); }
    void on_message(const std::string& m, Lane l) { seen->push_back(m + std::to_string(l)); }
    void on_writable(Lane l) { seen->push_back(std::string{"w"} + std::to_string(l)); }
    void on_unsent(std::string m, Lane) { seen->push_back(std::string{"u"} + m); }
};
struct Shortest {
    Seen* seen = nullptr;
    void on_message(std::string&& m) { seen->push_back(m); }
};
struct WithLink {
    Seen* seen = nullptr;
    void on_message(auto& link, std::string m) {
        seen->push_back(m + std::string{to_string(link.status().state)});
    }
};
struct OnlyUnsent {
    Seen* seen = nullptr;
    void on_unsent(std::string m, Lane) { seen->push_back(std::string{"u"} + m); }
};
struct OnlyWritable {
    Seen* seen = nullptr;
    void on_writable(Lane) { seen->emplace_back("w"); }
};

}  // namespace

TEST_CASE("Hooks are called in every documented form", "[link][observer][unit]") {
    CHECK(watched(Full{}) == Seen{"s1", "s1", "m01", "w01", "up01"});
    CHECK(watched(Short{}) == Seen{"s", "s", "m0", "w0", "up"});
    CHECK(watched(Shortest{}) == Seen{"m"});
    CHECK(watched(WithLink{}) == Seen{"mconnected"});
    CHECK(watched(OnlyUnsent{}) == Seen{"up"});
    CHECK(watched(OnlyWritable{}) == Seen{"w"});
}

TEST_CASE("A writable outside connected is not passed on", "[link][observer][regression]") {
    Wire wire;
    LinkRig rig{FakeTransport<>{wire}};
    rig.start();
    wire.link.writable();
    rig.run(0s);
    CHECK(rig.notes.seen == Seen{"connecting"});
}
