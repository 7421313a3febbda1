// SPDX-License-Identifier: MIT
#include <cstdio>
#include <list>
#include <memory>
#include <set>
#include <string>

#include <belay/belay.hpp>
#include <belay/journal.hpp>
#include <belay/posix.hpp>
#include <belay/session.hpp>
#include <belay/sim.hpp>
using namespace belay;
using namespace std::chrono_literals;

struct RealNet {
    using Loop = posix::Loop<>;
    using Tcp = posix::TcpForEndpoints<>;
    using Endpoint = posix::Endpoint;
    using Accepted = posix::Accepted<>;
    using Files = posix::Files;
};
struct SimNet {
    using Loop = sim::Host;
    using Tcp = sim::Tcp;
    using Endpoint = sim::Endpoint;
    using Accepted = sim::Accepted;
    using Files = sim::Disk;
};

constexpr HeartbeatOptions beats{.every = 1s, .dead_after = 3s};

// excerpt: begin
template <class Net>
class Client {
public:
    using Places = Endpoints<typename Net::Tcp, typename Net::Endpoint>;
    Client(typename Net::Loop& loop, Places places, Journal<typename Net::Files> journal)
        : outbox_{{std::move(places), beats},
                  patience(),
                  Queue{std::move(journal)},
                  OutboxOptions{.promise = OutboxOptions::at_least_once},
                  std::ref(*this)} {
        loop.attach(outbox_);
        outbox_.start();
    }
    /// Returns whether the order is durable. Its id is made once, with the order, and is in the message.
    bool order(const std::string& id) { return !outbox_.push(id) && !outbox_.commit(); }
    void on_message(auto& outbox, const Bytes&) { static_cast<void>(outbox.acknowledge()); }  // answers come in order
    std::size_t waiting() const { return outbox_.depth(); }
    // excerpt: end

private:
    static auto patience() { return Policy{Backoff{FullJitter{}, Cap{5s}, 100ms}, AttemptTimeout{3s}}; }
    Outbox<Heartbeat<Places>, decltype(patience()), Queue<Journal<typename Net::Files>>, std::reference_wrapper<Client>> outbox_;
};

struct Database {                 // shared by the servers; its insert is one transaction
    std::set<std::string> ids{};  // the unique key
    bool insert_if_absent(const std::string& id) { return ids.insert(id).second; }
};

template <class Net>
class Server {
public:
    Server(typename Net::Loop& loop, Database& database) : loop_{loop}, database_{database} {}
    void accept(typename Net::Accepted connection) {
        std::erase_if(guests_, [](const Guest& guest) { return guest.status().state == LinkState::failed; });
        Guest& guest = guests_.emplace_back(Heartbeat{std::move(connection), beats}, MaxAttempts{1}, Store{this});
        loop_.attach(guest);
        guest.start();
    }
    int stored() const { return stored_; }

private:
    // excerpt: begin
    struct Store {
        Server* server;
        void on_message(auto& link, const Bytes& order) {
            server->stored_ += server->database_.insert_if_absent(std::string{as_text(order)}) ? 1 : 0;
            static_cast<void>(link.send(order));  // after the insert, also if the order was there already
        }
    };
    // excerpt: end
    using Guest = Supervisor<Heartbeat<typename Net::Accepted>, MaxAttempts, Store>;
    typename Net::Loop& loop_;
    Database& database_;
    int stored_ = 0;
    std::list<Guest> guests_{};
};

int real_sockets() {
    posix::Loop loop;
    Database database;
    auto a = std::make_unique<Server<RealNet>>(loop, database), b = std::make_unique<Server<RealNet>>(loop, database);
    std::optional<posix::Listener<std::function<void(posix::Accepted<>)>>> at_a, at_b;
    at_a.emplace(loop, [&](posix::Accepted<> connection) { a->accept(std::move(connection)); });
    at_b.emplace(loop, [&](posix::Accepted<> connection) { b->accept(std::move(connection)); });
    if (at_a->listen({"127.0.0.1", 0}) || at_b->listen({"127.0.0.1", 0})) return 1;
    auto journal = posix::Journal::open("orders", {.verify = Verify::skip_damage});
    if (!journal) return std::puts(journal.error().message().c_str()), 1;
    const posix::Endpoint first{"127.0.0.1", at_a->port()}, second{"127.0.0.1", at_b->port()};
    Client<RealNet> client{loop, Endpoints{posix::Tcp{loop}, {first, second}}, std::move(*journal)};
    const auto idle = [&] { return client.waiting() == 0; };
    if (!client.order("1") || !client.order("2") || !loop.run_until(idle, 10s)) return 1;
    at_a.reset(), a.reset();  // the first server dies
    if (!client.order("3") || !client.order("4") || !loop.run_until(idle, 10s)) return 1;
    std::printf("real sockets: %zu orders, %d of them stored by b\n", database.ids.size(), b->stored());
    return 0;
}

int simulated() {
    Database database;
    sim::World world{Seed{7}};
    const auto server = [&](sim::Host& host) {
        auto process = std::make_unique<Server<SimNet>>(host, database);
        host.listen(9000, [&at = *process](sim::Accepted connection) { at.accept(std::move(connection)); });
        return process;
    };
    world.host("a", server);
    world.host("b", server);
    sim::Host& client = world.host("client", [](sim::Host& host) {
        const sim::Endpoint first{"a", 9000}, second{"b", 9000};
        auto journal = Journal<sim::Disk>::open(host.disk(), "orders");
        return std::make_unique<Client<SimNet>>(host, Endpoints{sim::Tcp{host}, {first, second}}, std::move(*journal));
    });
    std::size_t durable = 0;
    for (int n = 1; n <= 3'600; ++n) {  // an order each second
        world.at(n * 1s, [&, n] {
            auto* const process = client.process<Client<SimNet>>();  // null while it is dead
            durable += process != nullptr && process->order(std::to_string(n)) ? 1U : 0U;
        });
    }
    world.play(sim::Scenario{}
                   .at(10min, sim::kill("a"))
                   .at(15min, sim::restart("a"))
                   .during(20min, 25min, sim::partition("client", "b"))
                   .at(30min, sim::kill("client"))
                   .at(31min, sim::restart("client"))
                   .at(40min, sim::pause("a"))
                   .at(45min, sim::resume("a")));
    world.run_for(1h + 30s);
    std::printf("an hour of outages: %zu orders durable, %zu stored, %zu wait\n", durable, database.ids.size(),
                client.process<Client<SimNet>>()->waiting());
    return durable == database.ids.size() ? 0 : 1;
}

int main() { return real_sockets() + simulated(); }
