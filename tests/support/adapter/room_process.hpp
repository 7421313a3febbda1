// SPDX-License-Identifier: MIT
/// \file tests/support/adapter/room_process.hpp
/// A server of rooms in Redis as a process of its own, and editors that dial it over TCP.
#pragma once

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include <belay/adapter/redis_rooms.hpp>
#include <belay/posix/listener.hpp>
#include <belay/posix/loop.hpp>
#include <belay/posix/tcp.hpp>
#include <belay/room/room_manager.hpp>
#include <belay/room/yjs_protocol.hpp>

#include "support/room/room_world.hpp"

namespace belay_test {

/// One server of several; killed at the end.
class RoomProcess {
public:
    explicit RoomProcess(const RedisRoomsOptions& options) {
        int ends[2];
        REQUIRE(::pipe(ends) == 0);
        process_ = ::fork();
        REQUIRE(process_ >= 0);
        if (process_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            // The test's report is none of its business.
            for (const int signal : {SIGTERM, SIGABRT, SIGSEGV}) ::signal(signal, SIG_DFL);
            serve(options, ends[1]);
        }
        ::close(ends[1]);
        const auto got = ::read(ends[0], &port_, sizeof port_);
        ::close(ends[0]);
        REQUIRE(got == sizeof port_);
    }
    RoomProcess(const RoomProcess&) = delete;
    RoomProcess& operator=(const RoomProcess&) = delete;
    ~RoomProcess() { kill(); }

    void kill() {
        if (process_ <= 0) return;
        ::kill(process_, SIGKILL);
        ::waitpid(process_, nullptr, 0);
        process_ = -1;
    }
    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }

private:
    struct EveryUserEdits {
        void check(const RoomRequest&, Completion<Grant> answer) const {
            answer({"somebody", Access::edit, forever});
        }
    };
    [[noreturn]] static void serve(const RedisRoomsOptions& redis, int tell) {
        RoomOptions options;
        options.save_after = std::chrono::milliseconds{200};
        options.save_within = std::chrono::milliseconds{500};
        options.save_retry_min = std::chrono::milliseconds{100};
        posix::Loop loop;
        RoomManager rooms{RedisRooms{redis}, EveryUserEdits{}, options};
        loop.attach(rooms);
        rooms.start();
        posix::Listener listener{loop, [&](posix::Accepted<> a) {
                                     rooms.accept(Coded<posix::Accepted<>>{std::move(a)},
                                                  YjsProtocol{}, {.board = "board"});
                                 }};
        if (listener.listen({"127.0.0.1", 0})) ::_exit(1);
        const std::uint16_t port = listener.port();
        if (::write(tell, &port, sizeof port) != sizeof port) ::_exit(1);
        loop.run();
        ::_exit(0);
    }

    pid_t process_ = -1;
    std::uint16_t port_ = 0;
};

/// A Yjs editor without a CRDT.
class TcpEditor {
public:
    using Kind = part::RoomMessage::Kind;

    TcpEditor(posix::Loop<>& loop, std::uint64_t author) : loop_{&loop}, author_{author} {}

    void dial(std::uint16_t port) {
        line_.reset();
        closed_with = 0;
        synced = false;
        line_ = std::make_unique<Line>(*this, port);
        loop_->attach(*line_);
    }
    [[nodiscard]] bool online() const { return line_ && !line_->link->ended(); }
    Bytes type(std::string_view text) {
        Bytes update = typed(author_, clock_, text);
        clock_ += text.size();
        static_cast<void>(document_.apply(update));
        if (line_ && line_->link->opened()) say({Kind::update, update});
        return update;
    }
    void show(std::string_view state) {
        say({Kind::awareness, awareness_of(author_, ++awareness_clock_, state)});
    }
    void say(const part::RoomMessage& message) {
        if (online()) static_cast<void>(line_->link->send(YjsProtocol{}.write(message)));
    }
    [[nodiscard]] Bytes document() {
        const auto parts = document_.snapshot();
        return parts.empty() ? Bytes(2) : parts.front();
    }
    [[nodiscard]] bool has(BytesView update) {
        static_cast<void>(document_.state_vector());
        return !document_.check(update).value_or(true);
    }

    int closed_with = 0;
    bool synced = false;
    std::size_t updates = 0;  ///< that others have made
    std::map<std::uint64_t, std::string> present{};

private:
    struct Line {
        Line(TcpEditor& e, std::uint16_t p) : editor{&e}, port{p} {}
        void attach(Waker w) {
            waker = std::move(w);
            link.emplace(posix::Tcp<>{*editor->loop_, {"127.0.0.1", port}}, 8, waker, 0);
        }
        [[nodiscard]] Instant deadline() const noexcept { return link->deadline(); }
        void advance(Instant now) {
            link->advance(now, 64, [&](const Bytes& coded, Lane) { editor->hear(coded); });
            if (link->opened() && !std::exchange(greeted, true))
                editor->say({Kind::state_vector, editor->document_.state_vector()});
        }
        TcpEditor* editor;
        std::uint16_t port;
        bool greeted = false;
        Waker waker{};
        std::optional<ServedLink<posix::Tcp<>>> link{};
    };

    void hear(const Bytes& coded) {
        if (coded.front() == std::byte{1}) {
            closed_with = static_cast<int>(coded[1]) | static_cast<int>(coded[2]) << 8;
            return;
        }
        const Bytes frame(coded.begin() + 1, coded.end());
        const auto message = YjsProtocol{}.read(frame);
        if (!message) return;
        if (message->kind == Kind::state_vector) {
            const auto diff = document_.diff(message->payload);
            return say({Kind::state, diff ? BytesView{*diff} : BytesView{}});
        }
        if (message->kind == Kind::query_awareness)
            return say({Kind::awareness, Bytes{std::byte{0}}});
        if (message->kind == Kind::awareness) return see(message->payload);
        if (message->kind != Kind::update && message->kind != Kind::state) return;
        synced = synced || message->kind == Kind::state;
        if (message->kind == Kind::update) ++updates;
        if (document_.check(message->payload).value_or(false))
            static_cast<void>(document_.apply(message->payload));
    }
    void see(BytesView said) {
        yjs::Lib0Reader in{said};
        for (std::uint64_t left = in.varuint(); left != 0 && !in.failed(); --left) {
            const std::uint64_t id = in.varuint();
            static_cast<void>(in.varuint());
            const std::string state{in.varstring()};
            present[id] = state;
            if (state == "null") present.erase(id);
        }
    }

    posix::Loop<>* loop_;
    std::uint64_t author_;
    std::uint64_t clock_ = 0;
    std::uint64_t awareness_clock_ = 0;
    YjsDocument document_{};
    std::unique_ptr<Line> line_;
};

}  // namespace belay_test
