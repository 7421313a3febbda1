// SPDX-License-Identifier: MIT
// excerpt: begin
// Beast masks the frames of a client with random bits. Its generator outlives a world, so this test replaces it.
#define BOOST_BEAST_WEBSOCKET_DETAIL_PRNG_IPP
#include <boost/beast/websocket/detail/prng.hpp>

namespace boost::beast::websocket::detail {
inline const std::uint32_t* prng_seed(std::seed_seq*) { return nullptr; }
inline generator make_prng(bool) {
    return []() -> std::uint32_t { return std::random_device{}(); };
}
}  // namespace boost::beast::websocket::detail
// excerpt: end

#include <cstdio>
#include <list>
#include <set>

#include <belay/asio/loop.hpp>
#include <belay/beast/listener.hpp>
#include <belay/beast/websocket.hpp>
#include <belay/libc_sim/program.hpp>  // in one source file of the test program
#include <belay/belay.hpp>
#include <belay/sim.hpp>
#include <belay/sim/explore.hpp>
using namespace belay;
using namespace std::chrono_literals;

// ---- the program: it is the same with real sockets ----

constexpr int readings = 500;

struct Meter {  // sends readings 1 to 500, one after the other
    int& next;
    bool is_fixed;
    void on_state(auto& link, const Transition& change) {
        if (change.to.state == LinkState::connected) send(link);
    }
    void on_message(auto& link, const Bytes&) {  // the server has stored it
        if (is_fixed) ++next;
        send(link);
    }
    void send(auto& link) {
        if (next > readings || link.send(to_bytes(std::to_string(next))) != SendResult::sent) return;
        if (!is_fixed) ++next;  // the bug: sent is not stored
    }
};

// excerpt: begin
void client_main(int& next, bool is_fixed) {
    boost::asio::io_context context{1};
    AsioLoop loop{context};
    Supervisor link{Heartbeat{beast::WebSocket<>{context, {"10.0.0.1", 9000}, {.target = "/meter"}}, {.every = 1s, .dead_after = 3s}},
                    Policy{Backoff{FullJitter{}, Cap{30s}, 1s}, ResetWhenStable{10s}}, Meter{next, is_fixed}};
    loop.attach(link);
    link.start();
    context.run();
}
// excerpt: end

struct Store {
    std::set<std::string>& ledger;  // the server's database: it outlives the server
    void on_message(auto& link, const Bytes& reading) {
        ledger.emplace(as_text(reading));
        static_cast<void>(link.send(reading));
    }
};

void server_main(std::set<std::string>& ledger) {
    boost::asio::io_context context{1};
    AsioLoop loop{context};
    using Client = Supervisor<Heartbeat<beast::Accepted<>>, MaxAttempts, Store>;
    std::list<Client> clients;
    beast::Listener listener{
        loop, [&](beast::Accepted<> client) {
            clients.remove_if([](const Client& c) { return c.status().state == LinkState::failed; });
            clients.emplace_back(Heartbeat{std::move(client), {.every = 1s, .dead_after = 3s}}, MaxAttempts{1}, Store{ledger});
            loop.attach(clients.back());
            clients.back().start();
        }};
    if (!listener.listen({"0.0.0.0", 9000})) context.run();
}

// ---- its test ----

sim::Report run(bool is_fixed) {
    const sim::ExploreOptions options{.seeds = 50, .scenario = {.within = 3s}, .print = false};
    return sim::explore(options, [is_fixed](sim::World& world) {
        auto& ledger = world.make<std::set<std::string>>();
        int& next = world.make<int>(1);
        // excerpt: begin
        world.host("server", [&](sim::Host& h) {  // the first host: its address is 10.0.0.1
            return std::make_unique<sim::Program>(h, [&ledger] { server_main(ledger); });
        });
        world.host("client", [&, is_fixed](sim::Host& h) {
            return std::make_unique<sim::Program>(h, [&next, is_fixed] { client_main(next, is_fixed); });
        });
        // excerpt: end
        world.run_for(3s);
        world.heal();
        return world.eventually("all is sent", 60s, [&] { return next > readings; }) &&
               world.require("no reading is lost", ledger.size() == readings);
    });
}

int main() {
    for (const bool is_fixed : {false, true}) {
        const sim::Report report = run(is_fixed);
        std::printf("%s: %s\n", is_fixed ? "fixed" : "with the bug", report ? "all seeds pass" : report.failing->property.c_str());
    }
}
