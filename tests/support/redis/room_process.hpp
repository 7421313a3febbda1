// SPDX-License-Identifier: MIT
/// \file tests/support/redis/room_process.hpp
/// A server of rooms in Redis as a process of its own, and editors that dial it over TCP.
#pragma once

#include <unistd.h>

#include <deque>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <belay/posix/listener.hpp>
#include <belay/posix/loop.hpp>
#include <belay/posix/tcp.hpp>
#include <belay/redis/rooms.hpp>
#include <belay/room/on_thread.hpp>
#include <belay/room/protocols.hpp>
#include <belay/room/room_manager.hpp>

#include "support/child_process.hpp"
#include "support/room/room_world.hpp"

namespace belay_test {

/// One server of several.
class RoomProcess : public ChildProcess {
public:
    explicit RoomProcess(const redis::RoomsOptions& options) {
        int ends[2];
        REQUIRE(::pipe(ends) == 0);
        if (forks()) {
            // The child must not report to the test framework.
            for (const int signal : {SIGTERM, SIGABRT, SIGSEGV}) ::signal(signal, SIG_DFL);
            serve(options, ends[1]);
        }
        ::close(ends[1]);
        const auto got = ::read(ends[0], &port_, sizeof port_);
        ::close(ends[0]);
        REQUIRE(got == sizeof port_);
    }
    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }

private:
    struct EveryUserEdits {
        void check(const RoomRequest&, Completion<Grant> answer) const {
            answer({"somebody", Access::edit, forever});
        }
    };
    [[noreturn]] static void serve(const redis::RoomsOptions& redis, int report) {
        RoomOptions options;
        options.save_after = std::chrono::milliseconds{200};
        posix::Loop loop;
        RoomManager rooms{OnThread{redis::Rooms{redis}}, EveryUserEdits{}, options};
        loop.attach(rooms);
        rooms.start();
        posix::Listener listener{loop, [&](posix::Accepted<> a) {
                                     rooms.accept(Coded<posix::Accepted<>>{std::move(a)},
                                                  YjsProtocol{}, {.room_id = "board"});
                                 }};
        if (listener.listen({"127.0.0.1", 0})) ::_exit(1);
        const std::uint16_t port = listener.port();
        if (::write(report, &port, sizeof port) != sizeof port) ::_exit(1);
        loop.run();
        ::_exit(0);
    }

    std::uint16_t port_ = 0;
};

/// A Yjs editor without a CRDT.
class TcpEditor : public YjsEditor {
public:
    TcpEditor(posix::Loop<>& loop, std::uint64_t author) : YjsEditor{author}, loop_{&loop} {}

    void dial(std::uint16_t port) {
        line_.reset();
        closed_with = 0;
        synced = false;
        line_ = std::make_unique<Line>(*this, port);
        loop_->attach(*line_);
    }
    [[nodiscard]] bool online() const { return line_ && !line_->link->ended(); }
    Bytes type(std::string_view text) {
        Bytes update = types(text);
        if (line_ && line_->link->opened()) say({Kind::update, update});
        return update;
    }
    void show(std::string_view state) { say({Kind::awareness, shows(state)}); }
    void say(const part::RoomMessage& message) {
        if (online()) static_cast<void>(line_->link->send(YjsProtocol{}.write(message)));
    }

private:
    struct Line {
        Line(TcpEditor& e, std::uint16_t p) : editor{&e}, port{p} {}
        void attach(Waker w) {
            waker = std::move(w);
            link.emplace(posix::Tcp<>{*editor->loop_, {"127.0.0.1", port}}, 8, waker, 0);
        }
        [[nodiscard]] Instant deadline() const noexcept { return link->deadline(); }
        void advance(Instant now) {
            link->advance(now, 64, [&](const Bytes& coded, Lane) { editor->receive(coded); });
            if (link->opened() && !std::exchange(greeted, true))
                editor->say({Kind::state_vector, editor->state_vector()});
        }
        TcpEditor* editor;
        std::uint16_t port;
        bool greeted = false;
        Waker waker{};
        std::optional<ServedLink<posix::Tcp<>>> link{};
    };

    void receive(const Bytes& coded) {
        if (coded.front() == std::byte{1}) return receive_goodbye(coded);
        const auto message = YjsProtocol{}.read(BytesView{coded}.subspan(1));
        if (!message) throw std::runtime_error{"the server has sent a bad frame"};
        receive_message(*message, [this](const part::RoomMessage& answer) { say(answer); });
    }

    posix::Loop<>* loop_;
    std::unique_ptr<Line> line_;
};

}  // namespace belay_test
