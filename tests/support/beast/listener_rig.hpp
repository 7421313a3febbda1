// SPDX-License-Identifier: MIT
/// \file tests/support/beast/listener_rig.hpp
/// ListenerRig: a beast::Listener, the clients that it admitted, and its notifications; and
/// node's clients of it.
#pragma once

#include <cerrno>
#include <cstdio>
#include <functional>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include <belay/beast/listener.hpp>
#include <belay/link/served_link.hpp>

#include "support/beast/node_server.hpp"
#include "support/catch.hpp"
#include "support/posix/raw_socket.hpp"

namespace belay_test {

/// Whether a peer's stream has ended, by an end or by an error.
inline bool is_over(const RawSocket& peer) {
    char c = 0;
    const ssize_t n = ::recv(peer.fd(), &c, 1, MSG_DONTWAIT | MSG_PEEK);
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK);
}

struct Rejections {
    std::vector<belay::beast::RejectedUpgrade>* all;
    void on_rejected(const belay::beast::RejectedUpgrade& one) { all->push_back(one); }
};

/// An admitted client: a machine that stores its messages, and sends them back.
template <class Stream>
class ServedConnection {
public:
    explicit ServedConnection(belay::beast::Accepted<Stream> client) : client_{std::move(client)} {}
    void attach(belay::Waker waker) {
        waker_ = std::move(waker);
        link_.emplace(std::move(*client_), 64, waker_, 1);
        client_.reset();
    }
    belay::Instant deadline() const noexcept { return link_->deadline(); }
    void advance(belay::Instant now) {
        link_->advance(now, 16, [&](const belay::Bytes& message, belay::Lane) {
            messages.emplace_back(belay::as_text(message));
            if (echoes) static_cast<void>(link_->send(message));
        });
    }
    auto& link() { return *link_; }
    bool echoes = true;
    std::vector<std::string> messages{};

private:
    std::optional<belay::beast::Accepted<Stream>> client_;
    belay::Waker waker_;
    std::optional<belay::ServedLink<belay::beast::Accepted<Stream>>> link_;
};

template <class Stream = boost::beast::tcp_stream>
struct ListenerRig {
    using Accepted = belay::beast::Accepted<Stream>;
    struct Take {
        ListenerRig* rig;
        void operator()(Accepted client) const { rig->on_accept(std::move(client)); }
    };
    using Listener = belay::beast::Listener<Take, Stream, Rejections>;

    template <class... Tls>
    explicit ListenerRig(belay::beast::ListenerOptions options = {}, Tls&... tls) {
        listener.emplace(loop, tls..., Take{this}, std::move(options), Rejections{&rejected});
        // Some tests use this port at other hosts, too.
        REQUIRE_FALSE(listener->listen({"127.0.0.1", unused_port()}));
        port = listener->port();
    }
    /// Opens the connection, and sends its messages back.
    ServedConnection<Stream>& serve(Accepted client) {
        served_connections.emplace_back(std::move(client));
        loop.attach(served_connections.back());
        return served_connections.back();
    }
    void turn() {
        context.restart();
        context.run_one_for(std::chrono::milliseconds{1});
        context.poll();
    }
    template <class Done>
    void until(Done done) {
        while (!done()) turn();
    }
    /// The whole answer to the peer, until the end of the stream.
    std::string answer_to(const RawSocket& peer) {
        std::string text;
        until([&] {
            text += peer.read_some();
            return is_over(peer);
        });
        return text;
    }
    std::string answer_to(std::string_view request) {
        const RawSocket peer = RawSocket::connect(port);
        peer.send(request);
        return answer_to(peer);
    }
    belay::beast::ListenerCounters counters() const { return listener->counters(); }

    boost::asio::io_context context{};
    belay::AsioLoop<boost::asio::io_context> loop{context};
    std::vector<belay::beast::RejectedUpgrade> rejected{};
    std::list<ServedConnection<Stream>> served_connections{};
    std::function<void(Accepted)> on_accept = [this](Accepted client) { serve(std::move(client)); };
    std::uint16_t port = 0;
    std::optional<Listener> listener{};
};

/// A valid upgrade request, with optional changes.
struct UpgradeText {
    std::string target = "/room";
    std::string host = "Host: 127.0.0.1\r\n";
    std::string upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    std::string version = "Sec-WebSocket-Version: 13\r\n";
    std::string key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    std::string more{};
    std::string method = "GET";
    std::string http = "HTTP/1.1";

    std::string text() const {
        return method + " " + target + " " + http + "\r\n" + host + upgrade + version + key + more +
               "\r\n";
    }
};

/// Runs node's clients, see tests/node/ws/client.js.
class NodeClients {
public:
    explicit NodeClients(const std::string& arguments)
        : out_{
              ::popen(("node '" + beside_program(BELAY_NODE_DIRECTORY) + "/client.js' " + arguments)
                          .c_str(),
                      "r")} {
        REQUIRE(out_ != nullptr);
    }
    NodeClients(const NodeClients&) = delete;
    NodeClients& operator=(const NodeClients&) = delete;
    ~NodeClients() {
        if (out_ != nullptr) ::pclose(out_);
    }
    /// Their output while `rig` runs.
    template <class Rig>
    std::string output(Rig& rig) {
        std::string text;
        bool over = false;
        rig.until([&] {
            pollfd p{::fileno(out_), POLLIN, 0};
            while (!over && ::poll(&p, 1, 0) == 1) {
                char some[512];
                const ssize_t n = ::read(p.fd, some, sizeof some);
                over = n <= 0;
                if (n > 0) text.append(some, static_cast<std::size_t>(n));
            }
            return over;
        });
        return text;
    }

private:
    std::FILE* out_;
};

}  // namespace belay_test
