// SPDX-License-Identifier: MIT
// A log of events, one line each, which no client can flood.
#pragma once

#include <belay/beast/listener_options.hpp>
#include <belay/core/clocks.hpp>
#include <belay/room/room_observer.hpp>

#include <cstdint>
#include <cstdio>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

/// Prints one line per minute for each kind of event and its reason. So a flood of one reason does
/// not hide another one. The next line of that kind has the number of those that were left out.
/// /metrics counts all events by their reason.
///
/// Thread safety: any thread.
class EventLog {
public:
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
            log->print(to_string(rejected.reason), line);
        }
        void on_rejected(const belay::RoomRejection& rejected) const {
            std::string line = "client rejected";
            add(line, {"board", rejected.room_id});
            add(line, {"user", rejected.user});
            add(line, {"ip", rejected.ip});
            add(line, {"reason", rejected.message()});
            log->print(rejected.message(), line);
        }
        void on_room_failed(const belay::RoomFailure& failure) const {
            std::string line = "storage failed";
            add(line, {"board", failure.room_id});
            add(line, {"error", failure.error.message()});
            log->print(failure.error.code.message(), line);
        }
    };
    [[nodiscard]] Observer observer() noexcept { return {this}; }

    void on_rights_failed(const std::error_code& error) {
        std::string line = "the database of rights and of the audit failed";
        add(line, {"error", error.message()});
        print(error.message(), line);
    }

private:
    struct Minute {
        belay::Instant begun = belay::always;
        std::uint64_t left_out = 0;
    };

    /// `line` begins with the kind.
    void print(std::string_view reason, const std::string& line) {
        const std::lock_guard lock{mutex_};
        Minute& minute = minutes_[line.substr(0, line.find('=')).append(reason)];
        const belay::Instant now = belay::SteadyClock{}.now();
        if (belay::elapsed(minute.begun, now) < std::chrono::minutes{1}) {
            ++minute.left_out;
            return;
        }
        if (minute.left_out != 0)
            std::printf("%s; %llu more of this reason before it\n", line.c_str(),
                        static_cast<unsigned long long>(minute.left_out));
        else
            std::printf("%s\n", line.c_str());
        minute = {now, 0};
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
    std::map<std::string, Minute> minutes_;  // as many as there are reasons
};
