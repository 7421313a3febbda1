// SPDX-License-Identifier: MIT
// What supervision costs over a real WebSocket: echoes over the loopback by a Supervisor of
// beast::WebSocket, beside Beast by hand. The server is Beast by hand in a thread of its own, the same for
// both; what counts is the processor time of the client's thread, which other load does not change, and
// in which no part of the server's is hidden.
#if __has_include(<boost/beast/websocket.hpp>)

#    include <belay/asio/loop.hpp>
#    include <belay/beast/websocket.hpp>
#    include <belay/link/heartbeat.hpp>
#    include <belay/link/supervisor.hpp>
#    include <belay/policy/rules.hpp>

#    include <deque>
#    include <memory>
#    include <thread>

#    include <benchmark/benchmark.h>

using namespace belay;

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = boost::beast::websocket;
using Stream = websocket::stream<beast::tcp_stream>;

constexpr std::int64_t at_once = 64;  // echoes for each iteration

void tune(Stream& ws) {
    ws.set_option(websocket::stream_base::timeout{websocket::stream_base::none(),
                                                  websocket::stream_base::none(), false});
    ws.binary(true);
    ws.auto_fragment(false);
    beast::get_lowest_layer(ws).socket().set_option(asio::ip::tcp::no_delay{true});
}

/// Sends back what it reads, for ever.
class Echoing : public std::enable_shared_from_this<Echoing> {
public:
    explicit Echoing(asio::ip::tcp::socket socket) : ws_{std::move(socket)} {}
    void start() {
        tune(ws_);
        ws_.async_accept([self = shared_from_this()](const beast::error_code& e) {
            if (!e) self->read();
        });
    }

private:
    void read() {
        ws_.async_read(buffer_, [self = shared_from_this()](const beast::error_code& e, auto) {
            if (!e) self->write();
        });
    }
    void write() {
        ws_.async_write(buffer_.data(),
                        [self = shared_from_this()](const beast::error_code& e, auto) {
                            self->buffer_.consume(self->buffer_.size());
                            if (!e) self->read();
                        });
    }
    Stream ws_;
    beast::flat_buffer buffer_;
};

class EchoServer {
public:
    EchoServer() {
        accept();
        thread_ = std::thread{[this] { context_.run(); }};
    }
    ~EchoServer() {
        context_.stop();
        thread_.join();
    }
    EchoServer(const EchoServer&) = delete;
    EchoServer& operator=(const EchoServer&) = delete;
    [[nodiscard]] std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

private:
    void accept() {
        acceptor_.async_accept([this](const beast::error_code& e, asio::ip::tcp::socket socket) {
            if (e) return;
            std::make_shared<Echoing>(std::move(socket))->start();
            accept();
        });
    }
    asio::io_context context_;
    asio::ip::tcp::acceptor acceptor_{context_, {asio::ip::make_address("127.0.0.1"), 0}};
    std::thread thread_;
};

/// One connection as a user writes it, without a way back after a loss.
class HandEcho {
public:
    HandEcho(asio::io_context& context, std::uint16_t port, std::size_t bytes, std::int64_t& count)
        : ws_{context}, message_(bytes), count_{count} {
        beast::get_lowest_layer(ws_).socket().connect({asio::ip::make_address("127.0.0.1"), port});
        tune(ws_);
        ws_.handshake("127.0.0.1", "/");
        write(asio::buffer(message_.data(), message_.size()));
        read();
    }

private:
    template <class Buffer>
    void write(Buffer bytes) {
        ws_.async_write(bytes, [](const beast::error_code&, auto) {});
    }
    void read() {
        ws_.async_read(buffer_, [this](const beast::error_code& e, auto) {
            if (e) return;
            ++count_;
            // What the server says is the user's, as a message is that rises from a supervisor.
            const auto* const first = static_cast<const std::byte*>(buffer_.cdata().data());
            message_.assign(first, first + buffer_.size());
            buffer_.consume(buffer_.size());
            write(asio::buffer(message_.data(), message_.size()));
            read();
        });
    }
    Stream ws_;
    beast::flat_buffer buffer_;
    Bytes message_;
    std::int64_t& count_;
};

struct Sends {
    std::size_t bytes;
    std::int64_t* count;
    void on_state(auto& link, const Transition& change) {
        if (change.to.state != LinkState::connected) return;
        static_cast<void>(link.send(Bytes(bytes)));
    }
    void on_message(auto& link, const Bytes& message) {
        ++*count;
        static_cast<void>(link.send(message));
    }
};
using Supervised = Supervisor<Heartbeat<belay::beast::WebSocket<>>, MaxAttempts, Sends>;

/// `done()` says how many echoes there were.
void count_echoes(benchmark::State& state, asio::io_context& context, const std::int64_t& count) {
    const auto run_to = [&](std::int64_t end) {
        while (count < end) {
            if (context.stopped()) context.restart();
            context.run_one();
        }
    };
    run_to(16 * state.range(1));  // all are connected, and warm
    for (auto _ : state) run_to(count + at_once);
    state.SetItemsProcessed(state.iterations() * at_once);
}

void echo_belay(benchmark::State& state) {
    EchoServer server;
    asio::io_context context;
    AsioLoop loop{context};
    std::int64_t count = 0;
    std::deque<Supervised> links;
    for (std::int64_t i = 0; i < state.range(1); ++i) {
        links.emplace_back(
            Heartbeat{belay::beast::WebSocket<>{context, {"127.0.0.1", server.port()}},
                      HeartbeatOptions{}},
            MaxAttempts{3}, SupervisorOptions{},
            Sends{static_cast<std::size_t>(state.range(0)), &count});
        loop.attach(links.back());
        links.back().start();
    }
    count_echoes(state, context, count);
}

void echo_by_hand(benchmark::State& state) {
    EchoServer server;
    asio::io_context context;
    std::int64_t count = 0;
    std::deque<HandEcho> links;
    for (std::int64_t i = 0; i < state.range(1); ++i) {
        links.emplace_back(context, server.port(), static_cast<std::size_t>(state.range(0)), count);
    }
    count_echoes(state, context, count);
}

void sizes(benchmark::internal::Benchmark* b) {
    b->ArgNames({"bytes", "connections"});
    for (const std::int64_t bytes : {64, 4096}) {
        for (const std::int64_t connections : {1, 16}) b->Args({bytes, connections});
    }
}
BENCHMARK(echo_belay)->Name("beast/websocket/echo/belay")->Apply(sizes);
BENCHMARK(echo_by_hand)->Name("beast/websocket/echo/by_hand")->Apply(sizes);

}  // namespace

#endif
