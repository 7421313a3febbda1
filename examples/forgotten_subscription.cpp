// SPDX-License-Identifier: MIT
// A client that forgets to subscribe again, and the exploration that finds it: 500 simulated
// worlds, and the smallest scenario that fails.
#include <cstdio>
#include <list>
#include <memory>
#include <utility>

#include <belay/belay.hpp>
#include <belay/sim.hpp>
#include <belay/sim/explore.hpp>

using namespace belay;  // in examples only
using namespace std::chrono_literals;

namespace {

/// Sends the request, if the link is connected.
bool subscribe(auto& link) { return link.send("subscribe") == SendResult::sent; }

bool mended = false;  // whether the client subscribes on each connection

/// A process that keeps a connection to the server open.
template <class App>
struct Client {
    struct Observer : App {
        void on_state(auto& link, const Transition& change) {
            if (mended) this->subscribed = false;
            App::on_state(link, change);
        }
    };
    Client(sim::Host& host, App app) : supervisor{to_server(host), patience(), Observer{app}} {
        host.attach(supervisor);
        supervisor.start();
    }
    static auto to_server(sim::Host& host) {
        return Heartbeat{sim::Tcp{host, "server", 9000}, {.every = 1s, .dead_after = 3s}};
    }
    static auto patience() {
        return Policy{Backoff{FullJitter{}, Cap{30s}, 1s}, ResetWhenStable{10s}};
    }
    Supervisor<Heartbeat<sim::Tcp>, decltype(patience()), Observer> supervisor;
};

/// A process that sends news to each connection that has subscribed.
class Server {
public:
    explicit Server(sim::Host& host) : host_{host} {
        host.listen(9000, [this](sim::Accepted connection) {
            auto& added = readers_.emplace_back(std::move(connection), MaxAttempts{1}, Reader{});
            host_.attach(added);
            added.start();
        });
        publish();
    }

private:
    struct Reader {
        bool subscribed = false;
        void on_message(const Bytes& message) { subscribed |= as_text(message) == "subscribe"; }
    };
    void publish() {
        for (auto& reader : readers_) {
            if (reader.observer().subscribed) static_cast<void>(reader.send("news"));
        }
        host_.after(100ms, [this] { publish(); });
    }

    sim::Host& host_;
    std::list<Supervisor<sim::Accepted, MaxAttempts, Reader>> readers_{};
};

}  // namespace

// excerpt: begin
struct App {
    void on_state(auto& link, const auto& /*change*/) {
        if (!subscribed) subscribed = subscribe(link);  // the bug: only once
    }
    void on_message(const auto& /*item*/) { ++news; }
    int& news;
    bool subscribed = false;
};
bool news_arrives(sim::World& world) {
    int& news = world.make<int>(0);
    world.host("server", [](sim::Host& h) { return std::make_unique<Server>(h); });
    world.host("client", [&](sim::Host& h) { return std::make_unique<Client<App>>(h, App{news}); });
    world.run_for(5s);  // faults happen: connections break, processes freeze and restart
    world.heal();       // and end
    return world.eventually("news arrives", 60s, [&, old = news] { return news > old; });
}
sim::Report explore() { return sim::explore({.seeds = 500}, news_arrives); }
// excerpt: end

int main() {
    const sim::Report report = explore();
    if (report) return 1;
    std::printf("%s\n", report.failing->property.c_str());
    std::printf("%s\n", sim::to_cpp(report.failing->smallest).c_str());
    mended = true;
    return explore() ? 0 : 1;
}
