// SPDX-License-Identifier: MIT
/// \file tests/support/curl/http_rig.hpp
/// HttpServer and HttpRig: an HTTP server in Python, and a client for one test.
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include <belay/http/http_message.hpp>
#include <belay/posix/loop.hpp>

#include "support/beside_program.hpp"
#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/server_process.hpp"

#if !defined(BELAY_PYTHON)
#    define BELAY_PYTHON "python3"
#endif
#if !defined(BELAY_HTTP_SERVER)
#    define BELAY_HTTP_SERVER "tests/support/curl/http_server.py"
#endif

namespace belay_test {

/// Listens on free ports; http_server.py has the behaviour of its paths.
class HttpServer : public ServerProcess {
public:
    explicit HttpServer(std::vector<std::string> arguments = {})
        : ServerProcess{words(std::move(arguments))} {
        // No proxy of this machine is used.
        for (const char* name :
             {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"})
            ::unsetenv(name);
        const std::string ready = line_with("ready ");
        REQUIRE(std::sscanf(ready.c_str(), "ready %hu %hu %hu", &port, &other, &tls) == 3);
    }

    [[nodiscard]] std::string url(const std::string& target) const {
        return "http://127.0.0.1:" + std::to_string(port) + target;
    }
    [[nodiscard]] std::string other_url(const std::string& target) const {
        return "http://127.0.0.1:" + std::to_string(other) + target;
    }
    [[nodiscard]] std::string tls_url(const std::string& host, const std::string& target) const {
        return "https://" + host + ":" + std::to_string(tls) + target;
    }
    /// Stops listening.
    void stop() {
        send_command("stop");
        line_with("stopped");
    }
    /// Listens again, on the same port.
    void start() {
        send_command("start");
        line_with("started");
    }

    unsigned short port = 0;
    unsigned short other = 0;
    unsigned short tls = 0;

private:
    static std::vector<std::string> words(std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), {BELAY_PYTHON, beside_program(BELAY_HTTP_SERVER)});
        return arguments;
    }
};

/// The result of a request.
struct RequestRecord {
    bool reported = false;
    std::optional<belay::HttpResponse> response;  ///< none if it was dropped
    std::vector<std::string> pieces;              ///< each has its status in front

    [[nodiscard]] auto completion() {
        return belay::Completion<belay::HttpResponse>{
            [this](std::optional<belay::HttpResponse> r) noexcept {
                reported = true;
                response = std::move(r);
            }};
    }
    [[nodiscard]] auto on_chunk() {
        return [this](const belay::HttpResponse& head, std::string_view piece) noexcept {
            pieces.push_back(std::to_string(head.status) + ":" + std::string{piece});
        };
    }
    [[nodiscard]] bool ended() const noexcept { return reported; }
};

/// A loop, and a client on it.
template <class Http>
struct HttpRig {
    template <class... A>
    explicit HttpRig(A&&... a) : http{loop, std::forward<A>(a)...} {}

    /// Runs until `holds()`; fails after a time that no test needs.
    template <class F>
    void until(F done) {
        REQUIRE(loop.run_until(done, wait_max));
    }
    belay::HttpResponse fetch(belay::HttpRequest request) {
        RequestRecord record;
        const auto handle = http.request(std::move(request), record.completion());
        until([&] { return record.reported; });
        REQUIRE(record.response);
        return *record.response;
    }
    belay::HttpResponse get(std::string url) { return fetch({.url = std::move(url)}); }
    /// The number of times that the server logged a line, without the number of the connection.
    long requests_received(const HttpServer& server, const std::string& request) {
        const std::string log = get(server.url("/log")).body;
        long count = 0;
        for (std::size_t at = 0; (at = log.find(request + " ", at)) != log.npos; ++at) ++count;
        return count;
    }

    belay::posix::Loop<> loop;
    Http http;
};

}  // namespace belay_test
