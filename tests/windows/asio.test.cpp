// SPDX-License-Identifier: MIT
// Goal: over asio on Windows, a Supervisor keeps a connection, and a Session delivers each operation
// once. Method: sockets of 127.0.0.1, whose other ends close them again and again, and a journal in
// real files.
#include <belay/windows/journal.hpp>  // first: its <windows.h> must not exclude asio's winsock2.h

#include <belay/asio/standalone.hpp>

#include <asio/write.hpp>
#include <belay/asio/loop.hpp>
#include <belay/asio/tcp.hpp>
#include <belay/backoff.hpp>
#include <belay/link.hpp>
#include <belay/policy.hpp>
#include <belay/session.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "support/asio/run_until.hpp"
#include "support/journal/small_files.hpp"
#include "support/session/memory_ledger.hpp"
#include "support/text_for.hpp"
#include "support/windows/expect.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

using Context = asio::io_context;
using Socket = asio::ip::tcp::socket;

constexpr auto condition = &belay::detail::winsock_condition;
static_assert(condition(WSAEACCES) == std::errc::permission_denied);
static_assert(condition(WSAEINVAL) == std::errc::invalid_argument);
static_assert(condition(WSAEMFILE) == std::errc::too_many_files_open);
static_assert(condition(WSAEPROTONOSUPPORT) == std::errc::protocol_not_supported);
static_assert(condition(WSAEAFNOSUPPORT) == std::errc::address_family_not_supported);
static_assert(condition(WSAEADDRINUSE) == std::errc::address_in_use);
static_assert(condition(WSAEADDRNOTAVAIL) == std::errc::address_not_available);
static_assert(condition(WSAENETDOWN) == std::errc::network_down);
static_assert(condition(WSAENETUNREACH) == std::errc::network_unreachable);
static_assert(condition(WSAECONNABORTED) == std::errc::connection_aborted);
static_assert(condition(WSAECONNRESET) == std::errc::connection_reset);
static_assert(condition(WSAENOBUFS) == std::errc::no_buffer_space);
static_assert(condition(WSAENOTCONN) == std::errc::not_connected);
static_assert(condition(WSAETIMEDOUT) == std::errc::timed_out);
static_assert(condition(WSAECONNREFUSED) == std::errc::connection_refused);
static_assert(condition(WSAEHOSTUNREACH) == std::errc::host_unreachable);

/// The condition that a test of the program waits for.
std::atomic<const char*> awaited = "its start";

/// Ends the program with a sentence if a test waits in vain.
void watch_over_it() {
    std::thread{[] {
        std::this_thread::sleep_for(600s);
        std::printf("FAILED: after 600 s it still waits for %s\n", awaited.load());
        std::fflush(stdout);
        std::_Exit(3);
    }}.detach();
}

auto patience() { return Policy{Backoff{FullJitter{}, Cap{50ms}, 1ms}}; }

/// A port of 127.0.0.1 that the system chooses.
struct Port {
    explicit Port(Context& context)
        : acceptor{context, asio::ip::tcp::endpoint{asio::ip::address_v4::loopback(), 0}},
          number{acceptor.local_endpoint().port()} {}
    asio::ip::tcp::acceptor acceptor;
    std::uint16_t number;
};

// ---- a Supervisor ------------------------------------------------------------------------------

/// Sends back what arrives, on one connection at a time.
struct EchoServer {
    explicit EchoServer(Context& context) : port{context}, connection{context} { accept(); }
    void hang_up() { connection.close(); }
    void accept() {
        port.acceptor.async_accept(connection, [this](std::error_code error) {
            if (error) return;
            ++accepted;
            echo();
        });
    }
    void echo() {
        connection.async_read_some(
            asio::buffer(bytes), [this](std::error_code error, std::size_t n) {
                if (!error) asio::write(connection, asio::buffer(bytes.data(), n), error);
                if (!error) return echo();
                hang_up();
                accept();
            });
    }

    Port port;
    Socket connection;
    int accepted = 0;
    std::array<char, 1024> bytes{};
};

constexpr int lines_each = 5;
constexpr int connections = 6;

/// Sends a line after each answer. The server ends each connection after some answers.
struct Talker {
    void say(auto& link) {
        expect(link.send(to_bytes(std::to_string(answers))) == SendResult::sent);
    }
    void on_state(auto& link, const Transition& change) {
        if (change.from == LinkState::connected) {
            ++losses;
            expect(change.to.failure.cause == Cause::lost);
        }
        if (change.to.state == LinkState::connected) say(link);
    }
    void on_message(auto& link, const Bytes& line) {
        expect(as_text(line) == std::to_string(answers));
        if (++answers % lines_each == 0) {
            server.hang_up();
        } else {
            say(link);
        }
    }

    EchoServer& server;
    int answers = 0;
    int losses = 0;
};

void a_supervisor_connects_again(const char* host) {
    Context context;
    EchoServer server{context};
    Talker talker{server};
    AsioLoop loop{context};
    Supervisor link{
        AsioTcp{context, {host, server.port.number}, Lines{}}, patience(), {}, std::ref(talker)};
    loop.attach(link);
    link.start();
    run_until(context, [&] { return talker.losses == connections; });
    expect(talker.answers == lines_each * connections);
    expect(server.accepted >= connections);
    std::printf("%s: %d answers over %d connections\n", host, talker.answers, server.accepted);
}

/// Keeps the failure of a link's only attempt.
struct OneFailure {
    void on_state(const Transition& change) {
        if (change.to.state != LinkState::failed) return;
        failed = true;
        failure = change.to.failure;
    }
    bool failed = false;
    Failure failure{};
};

void a_port_without_a_server_refuses() {
    Context context;
    const std::uint16_t port = Port{context}.number;
    OneFailure app;
    AsioLoop loop{context};
    Supervisor link{
        AsioTcp{context, {"127.0.0.1", port}, Lines{}}, Policy{MaxAttempts{1}}, {}, std::ref(app)};
    loop.attach(link);
    link.start();
    run_until(context, [&] { return app.failed; });
    std::printf("no server: %s\n", app.failure.message().c_str());
    expect(app.failure.cause == Cause::refused);
    expect(app.failure.error() == std::errc::connection_refused);
}

// ---- a Session ---------------------------------------------------------------------------------

/// The first connections of a relay are cut.
constexpr int cuts = 25;

/// Passes on what arrives at each of two sockets to the other one, up to `bytes_left` in all. Then
/// it closes both, also in the middle of a message.
struct Pair : std::enable_shared_from_this<Pair> {
    Pair(Context& context, std::uint64_t most) : outer{context}, inner{context}, bytes_left{most} {}
    void start() {
        pass_on(outer, inner, bytes_in);
        pass_on(inner, outer, bytes_out);
    }
    using Buffer = std::array<char, 512>;
    void pass_on(Socket& from, Socket& to, Buffer& bytes) {
        const auto read = [this, self = shared_from_this(), &from, &to, &bytes](
                              std::error_code error, std::size_t n) {
            const std::uint64_t passed = std::min<std::uint64_t>(n, bytes_left);
            bytes_left -= passed;
            if (!error) asio::write(to, asio::buffer(bytes.data(), passed), error);
            if (!error && bytes_left != 0) return pass_on(from, to, bytes);
            from.close(error);
            to.close(error);
        };
        from.async_read_some(asio::buffer(bytes), read);
    }

    Socket outer;
    Socket inner;
    std::uint64_t bytes_left;
    Buffer bytes_in{};
    Buffer bytes_out{};
};

/// A Receiver behind a relay. An AsioTcp dials, so the receiver dials the relay, too, for each
/// connection that the relay accepts.
struct Server {
    Server(Context& used, MemoryLedger& ledger) : context{used}, receiver{LedgerView{ledger}} {
        loop.attach(receiver);
        accept();
    }
    void accept() {
        // Some do not survive the greeting, and others carry many operations.
        const std::uint64_t most = accepted < cuts ? bits() % 6000 : ~std::uint64_t{0};
        const auto pair = std::make_shared<Pair>(context, most);
        clients.acceptor.async_accept(pair->outer, [this, pair](std::error_code error) {
            if (error) return;
            ++accepted;
            receiver.accept(AsioTcp{context, {"127.0.0.1", inside.number}});
            inside.acceptor.async_accept(pair->inner, [this, pair](std::error_code wrong) {
                if (wrong) return;
                pair->start();
                accept();
            });
        });
    }

    Context& context;
    Port clients{context};
    Port inside{context};
    int accepted = 0;
    Random bits{Seed{1}};
    AsioLoop<Context> loop{context};
    Receiver<AsioTcp<Context>, LedgerView> receiver;
};

struct Client {
    Client(Context& context, std::uint16_t port, windows::Journal journal)
        : loop{context},
          session{AsioTcp{context, {"127.0.0.1", port}}, patience(), Queue{std::move(journal)},
                  SessionOptions{.id = Id{std::byte{1}}}} {
        loop.attach(session);
        session.start();
    }
    AsioLoop<Context> loop;
    Session<AsioTcp<Context>, decltype(patience()), Queue<windows::Journal>> session;
};

/// The first client ends before all of its operations are acknowledged. The second one continues
/// with its journal.
void a_session_delivers_each_operation_once(const WindowsDirectory& dir) {
    constexpr std::uint64_t count = 600;
    Context context;
    MemoryLedger ledger;
    Server server{context, ledger};
    std::uint64_t sent = 0;
    for (const std::uint64_t most : {count / 2, count}) {
        auto journal = windows::Journal::open(dir / "outbox", files_of_64k);
        demand(journal.has_value());
        Client client{context, server.clients.number, std::move(*journal)};
        while (sent < most) {
            demand(client.session.send(as_bytes(text_for(++sent))).has_value());
        }
        run_until(context, [&] {
            return most < count ? ledger.effects.size() >= count / 4
                                : client.session.queue().empty();
        });
    }
    expect(ledger.effects.size() == count);
    for (std::uint64_t n = 1; n <= ledger.effects.size(); ++n) {
        if (!expect(ledger.effects[n - 1] == text_for(n))) break;
    }
    expect(server.accepted > cuts);
    std::printf("%d operations over %d connections\n", static_cast<int>(ledger.effects.size()),
                server.accepted);
}

}  // namespace

int main() {
    watch_over_it();
    awaited = "a Supervisor that connects again";
    a_supervisor_connects_again("127.0.0.1");
    awaited = "a Supervisor that dials a name";
    a_supervisor_connects_again("localhost");
    awaited = "the failure of a port without a server";
    a_port_without_a_server_refuses();
    awaited = "the operations of a Session";
    {
        const WindowsDirectory dir{"asio"};
        a_session_delivers_each_operation_once(dir);
    }
    std::puts(exit_code() == 0 ? "PASSED" : "FAILED");
    return exit_code();
}
