// SPDX-License-Identifier: MIT
/// \file belay/posix/detail/scripted_http_server.hpp
/// ScriptedHttpServer: the server of check::http. Some of its pages break the protocol on purpose.
#pragma once

#include <algorithm>    // std::count_if
#include <charconv>     // std::from_chars
#include <cstring>      // std::memcpy
#include <optional>     // std::optional
#include <string>       // std::string, std::to_string
#include <string_view>  // std::string_view
#include <utility>      // std::move, std::exchange
#include <vector>       // std::vector

#include <belay/http/http_message.hpp>
#include <belay/posix/detail/socket.hpp>

namespace belay { inline namespace BELAY_ABI { namespace posix::detail {

/// A request that the server has read.
struct ScriptedRequest {
    std::string method;
    std::string target;
    HttpHeaders headers;
    std::string body;
};

/// A socket bound to a port of 127.0.0.1. It listens only after listen().
class ScriptedServerPort {
public:
    ScriptedServerPort() : socket_{Socket::stream(AF_INET)} {
        sockaddr_in here{};
        here.sin_family = AF_INET;
        here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        sockaddr_storage address{};
        std::memcpy(&address, &here, sizeof here);
        const bool bound =
            ::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof here) == 0;
        BELAY_PRECONDITION(bound, "check::http: 127.0.0.1 must have three free ports");
        port_ = SocketAddress::local(socket_).port();
    }
    void listen() const noexcept { static_cast<void>(::listen(socket_.get(), 64)); }
    /// Returns the next dialled connection; empty if there is none.
    [[nodiscard]] Socket accept() const noexcept {
        Socket client{::accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
        // All output arrives before the next step, whether the client has acknowledged or not.
        if (client) static_cast<void>(client.enable(IPPROTO_TCP, TCP_NODELAY));
        return client;
    }
    [[nodiscard]] std::string origin() const { return "http://" + place(); }
    [[nodiscard]] std::string place() const { return "127.0.0.1:" + std::to_string(port_); }

private:
    Socket socket_;
    std::uint16_t port_ = 0;
};

/// A server that never waits: step() does all that can be done now.   Thread safety: one thread.
class ScriptedHttpServer {
public:
    /// The length of the bodies of /large and /packed.
    static constexpr std::size_t large_bytes = 5000;

    ScriptedHttpServer() {
        near_.listen();
        far_.listen();
    }

    void step() {
        ++steps_;
        for (const ScriptedServerPort* const port : {&near_, &far_}) {
            while (Socket client = port->accept()) clients_.push_back({std::move(client)});
        }
        for (Client& client : clients_) serve(client);
        std::erase_if(clients_, [](const Client& g) { return !g.socket; });
    }

    [[nodiscard]] std::string url(std::string_view target) const {
        return near_.origin() + std::string{target};
    }
    /// Returns a URL at which nothing listens.
    [[nodiscard]] std::string dead_url() const { return dead_.origin() + "/"; }
    [[nodiscard]] std::string place() const { return near_.place(); }

    /// Returns how often a target was requested.
    [[nodiscard]] long seen(std::string_view target) const {
        return std::count_if(log_.begin(), log_.end(),
                             [&](const ScriptedRequest& r) { return r.target == target; });
    }
    [[nodiscard]] const std::vector<ScriptedRequest>& log() const noexcept { return log_; }
    /// Ends the response to each open /parts, and answers each /held.
    void finish() {
        for (Client& client : clients_) {
            if (std::exchange(client.held, false)) client.output += whole({.body = "held"});
            if (std::exchange(client.in_parts, false)) client.output += "3\r\ntwo\r\n0\r\n\r\n";
        }
    }
    /// Sends a response on each connection, although no request waits for one.
    void respond_unasked() {
        for (Client& client : clients_) client.output += whole({.body = "unasked"});
        step();
    }

private:
    struct Client {
        Socket socket;
        std::string input{};
        std::string output{};
        bool in_parts = false;
        bool held = false;
        bool drips = false;
        bool leaves = false;
    };

    void serve(Client& client) {
        char bytes[4096];
        for (ssize_t n = 0; (n = ::recv(client.socket.get(), bytes, sizeof bytes, 0)) >= 0;) {
            // A client keeps its half open while it waits, so this one is gone.
            if (n == 0) return client.socket.reset();
            client.input.append(bytes, static_cast<std::size_t>(n));
        }
        if (!would_block(errno) && errno != EINTR) return client.socket.reset();
        while (std::optional<ScriptedRequest> request = next(client.input)) {
            log_.push_back(*request);
            client.output += page(client, *request);
        }
        // Slower than a client that waits whenever it has nothing to read.
        if (client.drips && steps_ % 16 == 0) client.output += "1\r\nx\r\n";
        while (!client.output.empty()) {
            const ssize_t n = ::send(client.socket.get(), client.output.data(),
                                     client.output.size(), MSG_NOSIGNAL);
            if (n <= 0) break;
            client.output.erase(0, static_cast<std::size_t>(n));
        }
        if (client.leaves && client.output.empty()) client.socket.reset();
    }

    /// Takes one whole request off the front.
    static std::optional<ScriptedRequest> next(std::string& input) {
        const std::size_t end = input.find("\r\n\r\n");
        if (end == input.npos) return std::nullopt;
        std::string_view head{input.data(), end + 2};
        const auto line = [&] {
            const std::string_view text = head.substr(0, head.find("\r\n"));
            head.remove_prefix(text.size() + 2);
            return text;
        };
        ScriptedRequest request;
        const std::string_view first = line();
        const std::size_t space = first.find(' ');
        request.method = first.substr(0, space);
        if (space != first.npos) {
            request.target = first.substr(space + 1, first.rfind(' ') - space - 1);
        }
        while (!head.empty()) {
            const std::string_view field = line();
            const std::size_t colon = std::min(field.find(':'), field.size());
            const std::size_t value = field.find_first_not_of(": \t", colon);
            request.headers.add({std::string{field.substr(0, colon)},
                                 std::string{value == field.npos ? "" : field.substr(value)}});
        }
        std::size_t length = 0;
        if (const std::string* text = request.headers.find("Content-Length")) {
            std::from_chars(text->data(), text->data() + text->size(), length);
        }
        if (input.size() - (end + 4) < length) return std::nullopt;
        request.body = input.substr(end + 4, length);
        input.erase(0, end + 4 + length);
        return request;
    }

    struct Script {
        std::string_view status = "200 OK";
        std::string_view headers{};
        std::string_view body{};
    };
    static std::string whole(const Script& page) {
        std::string text = "HTTP/1.1 ";
        (text += page.status) += "\r\n";
        (text += page.headers) +=
            "Content-Length: " + std::to_string(page.body.size()) + "\r\n\r\n";
        return text += page.body;
    }
    static std::string moved(const std::string& location) {
        const std::string there = "Location: " + location + "\r\n";
        return whole({"302 Found", there, "moved"});
    }
    std::string page(Client& client, const ScriptedRequest& request) {
        // Five thousand times "x".
        constexpr std::string_view gzip{
            "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xed\xc1\x31\x01\x00\x00\x00\xc2\xa0\xda\x8b"
            "\x6f\x0a\x3f\xa0\x00\x00\x00\x00\x80\xb7\x01\x26\xf0\xdb\x00\x88\x13\x00\x00",
            40};
        constexpr std::string_view chunked =
            "HTTP/1.1 200 OK\r\nX-Head: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
        const std::string& target = request.target;
        const std::string large(large_bytes, 'x');
        client.leaves =
            client.leaves || target == "/half" || target == "/cut" || target == "/noise";
        if (target == "/page") {
            return "HTTP/1.1 103 Early Hints\r\nx-early: 1\r\n\r\n" +
                   whole({.headers = "x-one: 1\r\nX-One:  2 \r\nX-Empty:\r\n", .body = "hello"});
        }
        if (target == "/busy") return whole({"503 Busy", "Retry-After: 7\r\n", "busy"});
        if (target == "/echo?a=%20b/../c") return whole({.body = request.body});
        if (target == "/half") return "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf";
        if (target == "/cut") return "";
        if (target == "/noise") return "SSH-2.0-OpenSSH_9.2\r\n";
        if (target == "/never") return "";
        if (target == "/held") return client.held = true, "";
        if (target == "/drips") return client.drips = true, std::string{chunked};
        if (target == "/parts") {
            client.in_parts = true;
            return std::string{chunked} + "3\r\none\r\n";
        }
        if (target == "/large") return whole({.body = large});
        if (target == "/packed") {
            const std::string* const takes = request.headers.find("Accept-Encoding");
            const bool packed = takes != nullptr && takes->find("gzip") != takes->npos;
            return packed ? whole({.headers = "Content-Encoding: gzip\r\n", .body = gzip})
                          : whole({.body = large});
        }
        return redirection(target);
    }
    std::string redirection(std::string_view target) const {
        if (target == "/moved") return moved("/page");
        if (target == "/loop") return moved("/loop");
        if (target == "/away") return moved(far_.origin() + "/page");
        if (target == "/file") return moved("file:///etc/hostname");
        return whole({.status = "404 Not Found"});
    }

    ScriptedServerPort near_;
    ScriptedServerPort far_;
    ScriptedServerPort dead_;
    std::vector<Client> clients_;
    std::vector<ScriptedRequest> log_;
    std::uint64_t steps_ = 0;
};

}}}  // namespace belay::posix::detail
