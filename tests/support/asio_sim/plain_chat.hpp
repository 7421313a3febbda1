// SPDX-License-Identifier: MIT
/// \file tests/support/asio_sim/plain_chat.hpp
/// ChatServer, ChatClient: a chat over asio without belay. The file that includes it has defined
/// asio_sim_test::net, an asio. `Net` names the types of its sockets.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

namespace asio_sim_test {

/// The published lines of the server, in order. The object outlives the server, like a database.
struct ChatLog {
    std::map<std::string, int> last;  // number of the last line of each client
    std::vector<std::string> lines;
};

enum class ChatBug { none, forgets_unacknowledged, waits_for_ever, publishes_twice };

template <class Net>
class ChatServer {
    using Socket = typename Net::tcp::socket;

public:
    ChatServer(typename Net::io_context& context, unsigned short port, ChatLog& log, ChatBug bug)
        : acceptor_{context, {Net::tcp::v4(), port}}, log_{log}, bug_{bug} {
        net::co_spawn(context, serve(), net::detached);
    }
    unsigned short port() const { return acceptor_.local_endpoint().port(); }

private:
    net::awaitable<void> serve() {
        for (;;) {
            Socket guest = co_await acceptor_.async_accept(net::use_awaitable);
            net::co_spawn(acceptor_.get_executor(), talk(std::move(guest)), net::detached);
        }
    }
    net::awaitable<void> talk(Socket guest) {
        try {
            std::string in;
            for (;;) {
                const std::size_t size = co_await net::async_read_until(
                    guest, net::dynamic_buffer(in), '\n', net::use_awaitable);
                std::istringstream line{in.substr(0, size)};
                in.erase(0, size);
                // The time that a database would take.
                typename Net::steady_timer write{acceptor_.get_executor(),
                                                 std::chrono::milliseconds{100}};
                co_await write.async_wait(net::use_awaitable);
                const std::string answer = publish(line);
                co_await net::async_write(guest, net::buffer(answer), net::use_awaitable);
            }
        } catch (const std::exception&) {  // the client has disconnected
        }
    }
    std::string publish(std::istringstream& line) {
        std::string name, text;
        int number = 0;
        line >> name >> number >> text;
        int& last = log_.last[name];
        if (number > last || bug_ == ChatBug::publishes_twice) {
            last = number;
            log_.lines.push_back(name + " " + std::to_string(number));
        }
        return "ok " + std::to_string(number) + "\n";
    }

    typename Net::tcp::acceptor acceptor_;
    ChatLog& log_;
    const ChatBug bug_;
};

/// Sends this many lines in turn, and connects again after every error.
template <class Net>
class ChatClient {
    using Socket = typename Net::tcp::socket;

public:
    ChatClient(typename Net::io_context& context, std::string server, unsigned short port,
               std::string name, int lines, ChatBug bug)
        : context_{context},
          server_{std::move(server)},
          port_{std::to_string(port)},
          name_{std::move(name)},
          lines_{lines},
          bug_{bug} {
        net::co_spawn(context, run(), net::detached);
    }
    bool done() const { return sent_ == lines_; }

private:
    net::awaitable<void> run() {
        while (!done()) {
            try {
                co_await talk();
            } catch (const std::exception&) {  // try again
            }
            co_await wait(std::chrono::milliseconds{500});
        }
    }
    net::awaitable<void> talk() {
        const auto socket = std::make_shared<Socket>(context_);
        typename Net::steady_timer silence{context_};
        typename Net::tcp::resolver resolver{context_};
        limit(silence, socket);
        const auto where = co_await resolver.async_resolve(server_, port_, net::use_awaitable);
        co_await async_connect(*socket, where, net::use_awaitable);
        std::string in;
        while (!done()) {
            limit(silence, socket);
            const int number = sent_ + 1;
            const std::string line = name_ + " " + std::to_string(number) + " hello\n";
            co_await net::async_write(*socket, net::buffer(line), net::use_awaitable);
            if (bug_ == ChatBug::forgets_unacknowledged) sent_ = number;
            const std::size_t size = co_await net::async_read_until(
                *socket, net::dynamic_buffer(in), '\n', net::use_awaitable);
            in.erase(0, size);
            sent_ = number;
            co_await wait(std::chrono::milliseconds{300});
        }
    }
    net::awaitable<void> wait(std::chrono::milliseconds time) {
        typename Net::steady_timer pause{context_, time};
        co_await pause.async_wait(net::use_awaitable);
    }
    /// Closes the socket unless it is called again within a time.
    void limit(typename Net::steady_timer& silence, const std::shared_ptr<Socket>& socket) {
        if (bug_ == ChatBug::waits_for_ever) return;
        silence.expires_after(std::chrono::seconds{5});
        silence.async_wait([socket](const auto& error) {
            if (!error) socket->close();
        });
    }

    typename Net::io_context& context_;
    const std::string server_;
    const std::string port_;
    const std::string name_;
    const int lines_;
    const ChatBug bug_;
    int sent_ = 0;
};

}  // namespace asio_sim_test
