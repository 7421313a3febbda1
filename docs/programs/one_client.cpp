// SPDX-License-Identifier: MIT
#include <cstdio>
#include <memory>

#include <belay/belay.hpp>
#include <belay/posix.hpp>
#include <belay/sim.hpp>
using namespace belay;
using namespace std::chrono_literals;

// excerpt: begin
struct RealNet {
    using Loop = posix::Loop<>;
    using Transport = posix::Tcp<>;
    using Accepted = posix::Accepted<>;
};
struct SimNet {
    using Loop = sim::Host;
    using Transport = sim::Tcp;
    using Accepted = sim::Accepted;
};

template <class Net>
class Client {  // greets the server whenever it has connected
public:
    Client(typename Net::Loop& loop, typename Net::Transport transport)
        : link_{{std::move(transport), {.every = 10s, .dead_after = 25s}}, patience(), *this} {
        loop.attach(link_);
        link_.start();
    }
    void on_state(auto& link, const Transition& change) {
        if (change.to.state == LinkState::connected) static_cast<void>(link.send("hello"));
    }
    void on_message(const Bytes& answer) { answers_ += as_text(answer) == "hello" ? 1 : 0; }
    int answers() const { return answers_; }

private:
    static auto patience() { return Policy{Backoff{FullJitter{}, Cap{30s}, 1s}, ResetWhenStable{10s}}; }
    Supervisor<Heartbeat<typename Net::Transport>, decltype(patience()), std::reference_wrapper<Client>> link_;
    int answers_ = 0;
};
// excerpt: end

template <class Net>
class Server {  // sends back what it receives
public:
    explicit Server(typename Net::Loop& loop) : loop_{loop} {}
    void accept(typename Net::Accepted connection) {
        guest_ = std::make_unique<Guest>(std::move(connection), MaxAttempts{1}, Echo{});
        loop_.attach(*guest_);
        guest_->start();
    }

private:
    struct Echo {
        void on_message(auto& link, const Bytes& message) { static_cast<void>(link.send(message)); }
    };
    using Guest = Supervisor<typename Net::Accepted, MaxAttempts, Echo>;
    typename Net::Loop& loop_;
    std::unique_ptr<Guest> guest_;
};

int main() {
    posix::Loop loop;
    Server<RealNet> server{loop};
    posix::Listener listener{loop, [&](posix::Accepted<> connection) { server.accept(std::move(connection)); }};
    if (listener.listen({"127.0.0.1", 0})) return 1;
    Client<RealNet> client{loop, posix::Tcp{loop, {"127.0.0.1", listener.port()}}};
    if (!loop.run_until([&] { return client.answers() == 1; }, 10s)) return 1;
    std::printf("real sockets: %d answer\n", client.answers());

    // excerpt: begin
    sim::World world{Seed{7}};
    sim::Host& there = world.host("server", [](sim::Host& host) {
        auto process = std::make_unique<Server<SimNet>>(host);
        host.listen(9000, [&at = *process](sim::Accepted connection) { at.accept(std::move(connection)); });
        return process;
    });
    sim::Host& here = world.host("client", [](sim::Host& host) {
        return std::make_unique<Client<SimNet>>(host, sim::Tcp{host, "server", 9000});
    });
    world.at(30min, [&] { world.restart(there); });
    // excerpt: end
    world.run_for(1h);
    std::printf("an hour with a restart: %d answers\n", here.process<Client<SimNet>>()->answers());
}
