// SPDX-License-Identifier: MIT
// Goal: the parts of a server of rooms may be destroyed in each order that the page permits, while
// clients type and both threads have calls. No order loses an edit that a client has received.
// Method: real files and sockets; clients on a thread of their own, and a program that changes
// rights on another.
#include "../../examples/whiteboard/boards_on_thread.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <deque>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

#include <belay/posix/journal.hpp>
#include <belay/posix/journal_rooms.hpp>
#include <belay/posix/listener.hpp>
#include <belay/room/audited.hpp>
#include <belay/room/on_thread.hpp>
#include <belay/room/protocols.hpp>
#include <belay/room/room_manager.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/posix/raw_socket.hpp"
#include "support/temporary_directory.hpp"
#include "support/yjs/yjs_editor.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// The number of letters of author 1 that a document has.
std::uint64_t letters_in(YjsDocument& document) {
    const Bytes vector = document.state_vector();
    yjs::Lib0Reader in{vector};
    std::uint64_t letters = 0;
    for (std::uint64_t left = in.varuint(); left != 0; --left) {
        const std::uint64_t author = in.varuint();
        const std::uint64_t clock = in.varuint();
        if (author == 1) letters = clock;
    }
    return letters;
}

/// A thread with clients: one types, one reads, and others connect and leave. They make no
/// assertions, because Catch counts those of one thread.
class TypingClients {
public:
    explicit TypingClients(std::uint16_t port) : thread_{[this, port] { run(port); }} {}
    TypingClients(const TypingClients&) = delete;
    TypingClients& operator=(const TypingClients&) = delete;
    ~TypingClients() { end(); }

    [[nodiscard]] std::uint64_t received() const noexcept { return received_; }
    void end() {
        ends_ = true;
        if (thread_.joinable()) thread_.join();
    }

private:
    void run(std::uint16_t port) {
        const RawSocket author = RawSocket::try_connect(port);
        const RawSocket reader = RawSocket::try_connect(port);
        std::deque<RawSocket> newcomers;
        YjsDocument document;
        std::string unread;
        // It may join after the first letters.
        send(reader, {part::RoomMessage::Kind::state_vector, {}, {}});
        for (std::uint64_t sent = 0; !ends_;) {
            unread += reader.read_some();
            static_cast<void>(author.read_some());
            receive(unread, document);
            newcomers.push_back(RawSocket::try_connect(port));
            if (newcomers.size() > 8) newcomers.pop_front();
            for (; sent < received_ + window; ++sent)
                send(author, {part::RoomMessage::Kind::update, typed(1, sent, "x"), {}});
            std::this_thread::sleep_for(1ms);
        }
    }
    static void send(const RawSocket& to, const part::RoomMessage& message) {
        Bytes frame;
        static_cast<void>(LengthPrefixed{}.put(YjsProtocol{}.write(message), frame));
        static_cast<void>(::send(to.fd(), frame.data(), frame.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
    }
    void receive(std::string& unread, YjsDocument& document) {
        for (;;) {
            const part::Cut cut = LengthPrefixed{}.cut(as_bytes(unread), {});
            if (cut.kind == part::Cut::Kind::more) return;
            const auto message = YjsProtocol{}.read(cut.body);
            using Kind = part::RoomMessage::Kind;
            if (message && (message->kind == Kind::update || message->kind == Kind::state))
                static_cast<void>(document.apply(message->payload));
            unread.erase(0, cut.bytes);
            received_ = letters_in(document);
        }
    }

    static constexpr std::uint64_t window = 20;
    std::atomic<bool> ends_{false};
    std::atomic<std::uint64_t> received_{0};
    std::thread thread_;
};

/// A program that changes a right again and again.
class RightsChanger {
public:
    explicit RightsChanger(whiteboard::Boards boards)
        : boards_{std::move(boards)}, thread_{[this] {
              while (!ends_) {
                  static_cast<void>(boards_.permit({"plan", "eve"}, Access::view));
                  static_cast<void>(boards_.permit({"plan", "eve"}, Access::edit));
                  std::this_thread::sleep_for(1ms);
              }
          }} {}
    RightsChanger(const RightsChanger&) = delete;
    RightsChanger& operator=(const RightsChanger&) = delete;
    ~RightsChanger() {
        ends_ = true;
        thread_.join();
    }

private:
    whiteboard::Boards boards_;
    std::atomic<bool> ends_{false};
    std::thread thread_;
};

/// Where the parts are destroyed.
enum class EndsIn { main, main_after_throw, posted_function, room_hook, stopping, stopped_hook };

/// A server whose parts can be destroyed one by one.
class ServerInParts {
    struct Rights {
        whiteboard::Boards::OnThread* boards;
        void check(const RoomRequest& request, Completion<Grant> answer) {
            boards->access({.room_id = request.room_id, .user = "ada"},
                           [answer = std::move(answer)](auto found) mutable noexcept {
                               if (found) answer({.user = "ada", .access = found->value()});
                           });
        }
    };
    struct Observer {
        ServerInParts* server;
        void on_room_event(const RoomEvent&) const {
            if (server->ends_in_ == EndsIn::room_hook && server->has_typed()) server->destroy();
        }
        void on_stopped(std::error_code) const {
            if (server->ends_in_ == EndsIn::stopped_hook) server->destroy();
        }
    };
    using Rooms =
        RoomManager<OnThread<posix::JournalRooms>,
                    Audited<Rights, whiteboard::Boards::OnThread::Audit, SystemClock>, Observer>;
    struct Accept {
        ServerInParts* server;
        void operator()(posix::Accepted<> client) const {
            server->rooms_->accept(std::move(client), YjsProtocol{}, {.room_id = "plan"});
        }
    };

public:
    ServerInParts(const std::string& directory, std::string order, EndsIn ends_in)
        : order_{std::move(order)}, ends_in_{ends_in} {
        loop_.emplace();
        boards_.emplace(std::move(*whiteboard::Boards::open(directory + "/rights", unflushed())),
                        whiteboard::Boards::OnThread::Options{
                            .look_every = 1ms, .on_changed = [this](std::string_view board) {
                                static_cast<void>(loop_->post([this, id = std::string{board}] {
                                    if (rooms_) rooms_->reauthorize(id);
                                }));
                            }});
        Audited audited{Rights{&*boards_}, boards_->audit(), SystemClock{}};
        auto log = posix::Journal::open(directory + "/log");
        auto stored = posix::JournalRooms::open(directory + "/boards", std::move(*log));
        REQUIRE(stored);
        rooms_.emplace(OnThread{std::move(*stored)}, std::move(audited),
                       RoomOptions{.save_after = 5ms}, Observer{this});
        loop_->attach(*rooms_);
        rooms_->start();
        listener_.emplace(*loop_, Accept{this});
        REQUIRE_FALSE(listener_->listen({"127.0.0.1", 0}));
    }
    [[nodiscard]] static whiteboard::BoardsOptions unflushed() { return {.flushes_each = false}; }

    /// Serves until the parts are destroyed.   Returns: what the reader had received.
    [[nodiscard]] std::uint64_t run() {
        TypingClients clients{listener_->port()};
        clients_ = &clients;
        try {
            REQUIRE(
                loop_->run_until([this] { return !rooms_ || has_typed(); }, belay_test::wait_max));
            end_as_asked();
        } catch (const std::runtime_error&) {
            CHECK(ends_in_ == EndsIn::main_after_throw);
        }
        destroy();
        // Queued functions must not use a part that is gone.
        if (loop_) static_cast<void>(loop_->run_until([n = 0]() mutable { return ++n == 5; }, 1s));
        loop_.reset();
        clients.end();
        return clients.received();
    }

private:
    [[nodiscard]] bool has_typed() const { return clients_->received() > 50; }
    void end_as_asked() {
        const auto until_gone = [this] {
            // An exception must reach run(), and not the macro.
            const bool gone = loop_->run_until([this] { return !rooms_; }, belay_test::wait_max);
            REQUIRE(gone);
        };
        if (ends_in_ == EndsIn::main_after_throw) {
            static_cast<void>(loop_->post([] { throw std::runtime_error{"as asked"}; }));
            until_gone();
        }
        if (ends_in_ == EndsIn::posted_function) {
            static_cast<void>(loop_->post([this] { destroy(); }));
            until_gone();
        }
        if (ends_in_ == EndsIn::room_hook) until_gone();
        if (ends_in_ == EndsIn::stopping) {
            rooms_->stop();
            REQUIRE(loop_->run_until([] { return true; }));
        }
        if (ends_in_ == EndsIn::stopped_hook) {
            rooms_->stop();
            until_gone();
        }
    }
    /// Destroys the parts in their order. The loop stays if it runs.
    void destroy() {
        const bool runs = ends_in_ == EndsIn::posted_function || ends_in_ == EndsIn::room_hook ||
                          ends_in_ == EndsIn::stopped_hook;
        for (const char part : order_) {
            if (part == 'b') boards_.reset();
            if (part == 'l') listener_.reset();
            if (part == 'm') rooms_.reset();
            if (part == 'r' && !runs) loop_.reset();
        }
    }

    const std::string order_;
    const EndsIn ends_in_;
    TypingClients* clients_ = nullptr;
    std::optional<posix::Loop<>> loop_;
    std::optional<whiteboard::Boards::OnThread> boards_;
    std::optional<Rooms> rooms_;
    std::optional<posix::Listener<Accept>> listener_;
};

/// The number of letters that a later start finds.
std::uint64_t stored_letters(const std::string& directory) {
    auto log = posix::Journal::open(directory + "/log");
    REQUIRE(log);
    auto rooms = posix::JournalRooms::open(directory + "/boards", std::move(*log));
    REQUIRE(rooms);
    driver::Question<part::LoadedRoom> loaded;
    rooms->load("plan", loaded.ask());
    const part::LoadedRoom room = *loaded.take();
    REQUIRE(room);
    REQUIRE(*room);
    YjsDocument document;
    for (const auto* updates : {&(*room)->snapshot, &(*room)->updates}) {
        for (const Bytes& update : *updates) REQUIRE_FALSE(document.apply(update));
    }
    return letters_in(document);
}

}  // namespace

TEST_CASE("A server may be destroyed in each order of its parts, and loses no edit that was shown",
          "[sqlite][boards][on_thread]") {
    constexpr EndsIn ways[]{EndsIn::main,      EndsIn::main_after_throw, EndsIn::posted_function,
                            EndsIn::room_hook, EndsIn::stopping,         EndsIn::stopped_hook};
    std::string order = "blmr";  // boards, listener, manager, and the loop that runs them
    std::size_t number = 0;
    do {
        // The thread of the boards posts to the loop.
        if (order.find('b') > order.find('r')) continue;
        // Two ways for each of the twelve orders, so that each way is with four of them.
        for (const EndsIn ends_in : {ways[number % 6], ways[(number + 1 + number / 6) % 6]}) {
            INFO(order << ", " << static_cast<int>(ends_in));
            const TemporaryDirectory directory;
            auto boards =
                whiteboard::Boards::open(directory / "rights", ServerInParts::unflushed());
            REQUIRE(boards);
            REQUIRE_FALSE(boards->set_owner({"plan", "ada"}));
            const RightsChanger changer{std::move(*boards)};
            ServerInParts server{directory.path(), order, ends_in};
            const std::uint64_t received = server.run();
            CHECK(stored_letters(directory.path()) >= received);
        }
        ++number;
    } while (std::next_permutation(order.begin(), order.end()));
    CHECK(number == 12);
}
