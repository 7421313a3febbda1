// SPDX-License-Identifier: MIT
// A chat of lines in an io_context. It sends each line that you type, and prints those of others.
// It keeps lines that you type while the server is away, and sends them later.
//   example_asio_chat PORT
#include <belay/asio/boost.hpp>
#include <belay/asio/loop.hpp>
#include <belay/asio/tcp.hpp>
#include <belay/belay.hpp>

#include <boost/asio.hpp>
#include <deque>
#include <istream>

using namespace belay;  // in examples only
using namespace std::chrono_literals;

struct Chat {
    std::deque<Bytes> typed{};
    void say(auto& link) {
        while (!typed.empty() && link.send(typed.front()) == SendResult::sent) typed.pop_front();
    }
    void on_message(const Bytes& line) {
        std::printf("> %s\n", std::string{as_text(line)}.c_str());
    }
    void on_writable(auto& link, Lane) { say(link); }
    void on_state(auto& link, const Transition& change) {
        std::printf("(%s)\n", to_string(change.to.state).data());
        say(link);
    }
};

int main(int count, char** arguments) {
    if (count != 2) return std::puts("usage: PORT"), 2;
    std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
    boost::asio::io_context context;  // first: it lives longest
    AsioLoop loop{context};
    const posix::Endpoint server{"127.0.0.1", static_cast<std::uint16_t>(std::atoi(arguments[1]))};
    Supervisor link{AsioTcp{context, server, Lines{}},
                    Policy{Backoff{FullJitter{}, Cap{1s}, 10ms}},
                    {},
                    Chat{}};
    loop.attach(link);
    link.start();

    boost::asio::posix::stream_descriptor keyboard{context, ::dup(0)};
    boost::asio::streambuf input;
    const auto type = [&](auto again) -> void {
        boost::asio::async_read_until(keyboard, input, '\n', [&, again](auto ended, std::size_t) {
            if (ended) return link.stop();
            std::string line;
            std::getline(std::istream{&input}, line);
            link.observer().typed.push_back(to_bytes(line));
            link.observer().say(link);
            again(again);
        });
    };
    type(type);
    context.run();
}
