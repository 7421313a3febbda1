// SPDX-License-Identifier: MIT
// A log of events, one line each, which no client can flood.
#pragma once

#include <belay/beast/listener_counters.hpp>
#include <belay/core/steady_clock.hpp>
#include <belay/room/room_observer.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <string>
#include <string_view>

/// Prints at most `lines_per_minute` lines for each kind of event. It prints only the number of the
/// others. /metrics counts all events by their reason.
///
/// Thread safety: any thread.
class EventLog {
public:
    static constexpr unsigned lines_per_minute = 20;

    /// An observer of a beast::Listener and of a RoomManager; copies share the log.
    struct Observer {
        EventLog* log;
        void on_rejected(const belay::beast::RejectedUpgrade& rejected) const {
            std::string line = "connection rejected";
            add(line, {"path", rejected.path});
            add(line, {"ip", rejected.ip});
            add(line, {"reason", to_string(rejected.reason)});
            if (rejected.unreported != 0)
                add(line, {"unreported", std::to_string(rejected.unreported)});
            log->print(Kind::connection, line);
        }
        void on_rejected(const belay::RoomRejection& rejected) const {
            std::string line = "client rejected";
            add(line, {"board", rejected.room_id});
            add(line, {"user", rejected.user});
            add(line, {"ip", rejected.ip});
            add(line, {"reason", rejected.message()});
            log->print(Kind::client, line);
        }
        void on_room_failed(const belay::RoomFailure& failure) const {
            std::string line = "storage failed";
            add(line, {"board", failure.room_id});
            add(line, {"error", failure.error.message()});
            log->print(Kind::storage, line);
        }
    };
    [[nodiscard]] Observer observer() noexcept { return {this}; }

    void on_rights_failed(const std::error_code& error) {
        std::string line = "the database of rights and of the audit failed";
        add(line, {"error", error.message()});
        print(Kind::rights, line);
    }

private:
    enum class Kind : std::uint8_t { connection, client, storage, rights };
    struct Minute {
        belay::Instant begun = belay::always;
        unsigned lines = 0;
        std::uint64_t left_out = 0;
    };

    void print(Kind kind, const std::string& line) {
        const std::lock_guard lock{mutex_};
        Minute& minute = minutes_[static_cast<std::size_t>(kind)];
        const belay::Instant now = belay::SteadyClock{}.now();
        if (belay::elapsed(minute.begun, now) >= std::chrono::minutes{1}) {
            if (minute.left_out != 0)
                std::printf("%llu more lines of this kind were left out\n",
                            static_cast<unsigned long long>(minute.left_out));
            minute = {now, 0, 0};
        }
        if (minute.lines == lines_per_minute) {
            if (minute.left_out++ != 0) return;
            std::printf("further lines of this kind are left out for a minute; see /metrics\n");
        } else {
            ++minute.lines;
            std::printf("%s\n", line.c_str());
        }
        std::fflush(stdout);
    }
    struct Field {
        std::string_view name;
        std::string_view value;
    };
    /// Adds a field. Its value may come from a client, so it must not begin a line of its own.
    static void add(std::string& line, const Field& field) {
        line.append(" ").append(field.name).append("=\"");
        for (const char c : field.value) {
            const bool is_plain = static_cast<unsigned char>(c) >= 0x20 && c != 0x7F;
            if (c == '"' || c == '\\') line += '\\';
            line += is_plain ? c : '?';
        }
        line += '"';
    }

    std::mutex mutex_;
    std::array<Minute, 4> minutes_{};
};
