// SPDX-License-Identifier: MIT
#include <chrono>
#include <cstdio>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <asio.hpp>
#include <belay/asio/standalone.hpp>  // or <belay/asio/boost.hpp>
#include <belay/asio_sim/net.hpp>
#include <belay/sim/explore.hpp>
using namespace std::chrono_literals;
using asio::awaitable, asio::use_awaitable;

// ---- the program: it knows nothing of belay ----

// excerpt: begin
struct RealNet {  // the types of asio that it uses
    using io_context = asio::io_context;
    using steady_timer = asio::steady_timer;
    using tcp = asio::ip::tcp;
};
// excerpt: end

constexpr int readings = 500;
constexpr unsigned short port = 9000;

using Ledger = std::vector<int>;  // the server's database: it outlives the server

template <class Net>
class Server {
public:
    Server(typename Net::io_context& context, unsigned short listens_on, Ledger& ledger, int fixes)
        : acceptor_{context, {Net::tcp::v4(), listens_on}}, ledger_{ledger}, fixes_{fixes} {
        co_spawn(context, serve(), asio::detached);
    }
    unsigned short port() const { return acceptor_.local_endpoint().port(); }

private:
    using Socket = typename Net::tcp::socket;

    awaitable<void> serve() {
        typename Net::steady_timer pause{acceptor_.get_executor()};
        for (;;) {
            std::error_code error;
            Socket guest = co_await acceptor_.async_accept(asio::redirect_error(use_awaitable, error));
            if (!error) {
                co_spawn(acceptor_.get_executor(), talk(std::move(guest)), asio::detached);
            } else {  // no descriptor is free: try again
                pause.expires_after(100ms);
                co_await pause.async_wait(use_awaitable);
            }
        }
    }
    awaitable<void> talk(Socket guest) {
        try {
            std::string in;
            for (;;) {
                const auto size = co_await async_read_until(guest, asio::dynamic_buffer(in, 100), '\n', use_awaitable);
                store(std::stoi(in.substr(0, size)));
                in.erase(0, size);
                co_await async_write(guest, asio::buffer("stored\n", 7), use_awaitable);
            }
        } catch (const std::exception&) {  // the client is gone, or sent no reading
        }
    }
    void store(int number) {
        const bool known = !ledger_.empty() && number <= ledger_.back();
        if (fixes_ < 2 || !known) ledger_.push_back(number);  // bug 2: a repetition is stored, too
    }

    typename Net::tcp::acceptor acceptor_;
    Ledger& ledger_;
    int fixes_;
};

template <class Net>
class Client {  // sends readings 1 to 500, one after the other
public:
    Client(typename Net::io_context& context, std::string server, unsigned short number, int fixes)
        : context_{context}, server_{std::move(server)}, port_{std::to_string(number)}, fixes_{fixes} {
        co_spawn(context, run(), asio::detached);
    }
    bool done() const { return sent_ == readings; }

private:
    using Socket = typename Net::tcp::socket;

    // excerpt: begin
    awaitable<void> run() {
        typename Net::steady_timer pause{context_};
        while (!done()) {
            try {
                co_await talk();
            } catch (const std::system_error&) {  // try again
            }
            pause.expires_after(100ms);
            co_await pause.async_wait(use_awaitable);
        }
    }
    // excerpt: end
    awaitable<void> talk() {
        const auto socket = std::make_shared<Socket>(context_);
        typename Net::steady_timer silence{context_};
        typename Net::tcp::resolver resolver{context_};
        limit(silence, socket);
        const auto where = co_await resolver.async_resolve(server_, port_, use_awaitable);
        co_await async_connect(*socket, where, use_awaitable);
        for (std::string in; !done();) {
            limit(silence, socket);
            const std::string line = std::to_string(sent_ + 1) + "\n";
            co_await async_write(*socket, asio::buffer(line), use_awaitable);
            if (fixes_ < 1) ++sent_;  // bug 1: sent is not stored
            const auto size = co_await async_read_until(*socket, asio::dynamic_buffer(in), '\n', use_awaitable);
            in.erase(0, size);
            if (fixes_ >= 1) ++sent_;
        }
    }
    /// Closes the socket after 3 s without another call.
    void limit(typename Net::steady_timer& silence, const std::shared_ptr<Socket>& socket) {
        if (fixes_ < 3) return;  // bug 3: a silent server goes unnoticed
        silence.expires_after(3s);
        silence.async_wait([socket](std::error_code error) {
            if (!error) socket->close();
        });
    }

    typename Net::io_context& context_;
    std::string server_, port_;
    int fixes_;
    int sent_ = 0;
};

// ---- its test ----

// excerpt: begin
using SimNet = belay::sim::AsioNet<asio::io_context>;

template <template <class> class Part>
struct Process {  // the context is the first member
    template <class... Arguments>
    explicit Process(belay::sim::Host& host, Arguments&&... arguments)
        : context{host}, part{context, std::forward<Arguments>(arguments)...} {}
    SimNet::io_context context;
    Part<SimNet> part;
};
// excerpt: end

belay::sim::Report run(int fixes) {
    const belay::sim::ExploreOptions options{.seeds = 200, .scenario = {.exhaustions = 1, .within = 3s}, .print = false};
    return belay::sim::explore(options, [fixes](belay::sim::World& world) {
        Ledger& ledger = world.make<Ledger>();
        // excerpt: begin
        world.host("server", [&](belay::sim::Host& h) { return std::make_unique<Process<Server>>(h, port, ledger, fixes); });
        belay::sim::Host& host =
            world.host("client", [fixes](belay::sim::Host& h) { return std::make_unique<Process<Client>>(h, "server", port, fixes); });
        // excerpt: end
        world.run_for(3s);
        world.heal();
        const auto done = [&] { return host.alive() && host.process<Process<Client>>()->part.done(); };
        if (!world.eventually("all is sent", 60s, done)) return false;
        world.run_for(1s);  // the last reading arrives
        const std::set<int> distinct{ledger.begin(), ledger.end()};
        return world.require("no reading is lost", distinct.size() == readings) &&
               world.require("no reading is stored twice", distinct.size() == ledger.size());
    });
}

int main() {
    Ledger ledger;
    asio::io_context context;
    Server<RealNet> server{context, 0, ledger, 3};
    Client<RealNet> client{context, "127.0.0.1", server.port(), 3};
    while (!client.done()) context.run_one();
    std::printf("real sockets: %d readings\n", static_cast<int>(ledger.size()));

    for (int fixes = 0; fixes <= 3; ++fixes) {
        const belay::sim::Report report = run(fixes);
        std::printf("%d fixes: %s\n", fixes, report ? "all seeds pass" : report.failing->property.c_str());
    }
}
