// SPDX-License-Identifier: MIT
#include <cstdio>
#include <list>

#include <belay/asio/loop.hpp>
#include <belay/beast/listener.hpp>  // with TLS: and beast/tls.hpp
#include <belay/beast/websocket.hpp>
#include <belay/belay.hpp>
using namespace belay;
using namespace std::chrono_literals;

// excerpt: begin
struct Echo {
    void on_message(auto& link, const Bytes& message) { static_cast<void>(link.send(message)); }
};
using Client = Supervisor<Heartbeat<beast::Accepted<>>, Policy<MaxAttempts>, Echo>;
// excerpt: end

struct Visitor {
    boost::asio::io_context* context;
    void on_state(auto& link, const Transition& change) {
        if (change.to.state == LinkState::connected) static_cast<void>(link.send(Bytes(5)));
    }
    void on_message(const Bytes& echo) { std::printf("%d bytes came back\n", static_cast<int>(echo.size())), context->stop(); }
};

int main() {
    boost::asio::io_context context;  // first: it lives longest
    AsioLoop loop{context};
    std::list<Client> clients;
    // excerpt: begin
    beast::Listener listener{
        loop, [&](beast::Accepted<> client) {
            if (!client.request().target.starts_with("/echo")) return client.reject(404);
            clients.remove_if([](const Client& c) { return c.status().state == LinkState::failed; });
            clients.emplace_back(Heartbeat{std::move(client), {.every = 20s, .dead_after = 45s}}, Policy{MaxAttempts{1}});
            loop.attach(clients.back());
            clients.back().start();
        }};
    if (listener.listen({"127.0.0.1", 0})) return 1;
    // excerpt: end
    Supervisor visitor{beast::WebSocket<>{context, {"127.0.0.1", listener.port()}, {.target = "/echo"}}, MaxAttempts{1}, Visitor{&context}};
    loop.attach(visitor);
    visitor.start();
    context.run();
}
