// SPDX-License-Identifier: MIT
/// \file belay/sim/detail/diagram.hpp
/// diagram: the lines of a history as text, with a column for each host.
#pragma once

#include <algorithm>  // std::max, std::min, std::find
#include <iterator>   // std::size, std::begin
#include <string>     // std::string
#include <vector>     // std::vector

#include <belay/sim/detail/recorder.hpp>
#include <belay/sim/detail/trace.hpp>
#include <belay/sim/scenario.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim::detail {

/// Prints records as a sequence diagram: a message is an arrow between the columns of its hosts.
class Diagram {
public:
    Diagram(std::vector<std::string> hosts, const Scenario& scenario)
        : hosts_{std::move(hosts)}, scenario_{scenario} {
        for (std::string& h : hosts_) {
            // A line end in a name would tear the lines.
            for (char& c : h) {
                if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
            }
            width_ = std::max(width_, h.size() + 2);
        }
    }

    /// Prints the last of these records and those around each fault, in at most `lines` lines, and
    /// how many it leaves out.
    [[nodiscard]] std::string print(const std::vector<Record>& records, std::size_t lines) const {
        std::vector<std::string> printed;
        std::vector<std::size_t> faults;  // their places in `printed`
        std::size_t quiet = 0;
        const auto quiet_line = [&] {
            if (quiet == 0) return;
            printed.push_back(left_out(quiet, " pings, pongs and functions\n"));
            quiet = 0;
        };
        for (const Record& r : records) {
            // The last line is where the history ends: it is always printed.
            if (is_quiet(r) && &r != &records.back()) {
                ++quiet;
                continue;
            }
            quiet_line();
            if (is_fault(r)) faults.push_back(printed.size());
            printed.push_back(line(r));
        }
        quiet_line();
        const std::vector<bool> shown = choose(printed.size(), faults, lines);
        std::string out(time_width, ' ');
        for (const std::string& h : hosts_) out += h + std::string(width_ - h.size(), ' ');
        out += '\n';
        std::size_t hidden = 0;
        for (std::size_t i = 0; i < printed.size(); ++i) {
            if (!shown[i]) {
                ++hidden;
                continue;
            }
            if (hidden != 0) out += left_out(hidden, " earlier lines\n");
            hidden = 0;
            out += printed[i];
        }
        return out;
    }
    /// Prints each of the last of these records with `line`, in `lines` lines at most.
    template <class Line>
    [[nodiscard]] static std::string print_each(const std::vector<Record>& records,
                                                std::size_t lines, Line&& line) {
        std::string out;
        for (std::size_t i = records.size() > lines ? records.size() - lines : 0;
             i < records.size(); ++i) {
            out += line(records[i]);
        }
        return out;
    }
    [[nodiscard]] std::string line(const Record& r) const {
        const std::string time = seconds(r.time);
        std::string out(time.size() < time_width - 2 ? time_width - 2 - time.size() : 0, ' ');
        const std::string which = connection(r);
        return out + time + "  " + lanes(r) + text(r) + (which.empty() ? "" : " [" + which + ']') +
               '\n';
    }

    /// Prints a record as one line of text: the number of the event, the time, what happened, and
    /// the connection.
    [[nodiscard]] std::string plain(const Record& r) const {
        const std::string which = connection(r);
        return std::to_string(r.event) + "  " + seconds(r.time) + "  " + text(r) +
               (which.empty() ? "" : " [" + which + ']') + '\n';
    }
    /// Prints a record as one line of JSON.
    [[nodiscard]] std::string json(const Record& r) const {
        std::string out = "{\"event\":" + std::to_string(r.event) +
                          ",\"time_ns\":" + std::to_string(r.time.time_since_epoch().count()) +
                          ",\"kind\":\"" + kind(r.mark) + '"';
        if (r.host < hosts_.size()) out += ",\"host\":" + json_text(hosts_[r.host]);
        if (r.peer < hosts_.size()) out += ",\"peer\":" + json_text(hosts_[r.peer]);
        if (r.connection != 0) out += ",\"connection\":" + json_text(connection(r));
        return out + ",\"text\":" + json_text(text(r)) + "}\n";
    }

    /// Prints a time in seconds, with as many digits as it needs.
    [[nodiscard]] static std::string seconds(Instant t) {
        const auto ns = static_cast<std::uint64_t>(t.time_since_epoch().count());
        std::string fraction = std::to_string(1'000'000'000 + ns % 1'000'000'000).substr(1);
        while (fraction.size() > 3 && fraction.back() == '0') fraction.pop_back();
        return std::to_string(ns / 1'000'000'000) + '.' + fraction + " s";
    }

private:
    static constexpr std::size_t time_width = 20;

    static std::string left_out(std::size_t count, const char* what) {
        return std::string(time_width, ' ') + "... " + std::to_string(count) + what;
    }
    /// Whether a line is a fault, the end of one, or a restart.
    static bool is_fault(const Record& r) noexcept {
        static constexpr Mark faults[] = {Mark::kill,    Mark::pause, Mark::resume,    Mark::block,
                                          Mark::unblock, Mark::fault, Mark::fault_end, Mark::heal,
                                          Mark::clock,   Mark::exit,  Mark::lost};
        if (r.mark == Mark::start) return r.facts > 1;
        return std::find(std::begin(faults), std::end(faults), r.mark) != std::end(faults);
    }
    /// Chooses `lines` of `count` lines. A third of them are for the faults, each with up to three
    /// lines before and after it. The rest are the last lines, where the history ends.
    static std::vector<bool> choose(std::size_t count, const std::vector<std::size_t>& faults,
                                    std::size_t lines) {
        std::vector<bool> shown(count, lines >= count);
        if (lines >= count) return shown;
        std::size_t left = lines;
        const auto show = [&](std::size_t i) {
            if (i >= count || shown[i] || left == 0) return;
            shown[i] = true;
            --left;
        };
        for (std::size_t i = count; i != 0 && left > lines / 3; --i) show(i - 1);
        // The latest faults first, in case there are too many. A place before the first line wraps,
        // and is ignored.
        for (std::size_t away = 0; away <= 3; ++away) {
            for (std::size_t f = faults.size(); f != 0; --f) {
                show(faults[f - 1] - away);
                show(faults[f - 1] + away);
            }
        }
        for (std::size_t i = count; i != 0; --i) show(i - 1);
        return shown;
    }

    /// Whether a line matters only in a row of its kind.
    static bool is_quiet(const Record& r) noexcept {
        const std::uint64_t segment = r.facts >> 32;
        return r.mark == Mark::function ||
               (r.mark == Mark::arrive && (segment == ping || segment == pong));
    }
    // Values of Segment::Kind.
    static constexpr std::uint64_t ping = 3;
    static constexpr std::uint64_t pong = 4;

    static const char* kind(Mark mark) noexcept {
        static constexpr const char* names[] = {
            "function", "start",     "kill",   "pause",   "resume", "dial",  "send",
            "arrive",   "accept",    "refuse", "hang_up", "cut",    "block", "unblock",
            "fault",    "fault_end", "heal",   "clock",   "exit",   "disk",  "lost"};
        static_assert(std::size(names) == static_cast<std::size_t>(Mark::lost));
        return names[static_cast<std::size_t>(mark) - 1];
    }
    /// `text` has no control characters: the constructor has replaced them.
    static std::string json_text(const std::string& text) {
        std::string out = "\"";
        for (const char c : text) {
            if (c == '"' || c == '\\') out += '\\';
            out += c;
        }
        return out + '"';
    }
    [[nodiscard]] std::string name(std::uint32_t host) const {
        return host < hosts_.size() ? hosts_[host] : std::string{"the test"};
    }
    /// Returns the name of the connection of a line: the host that dialled it, and the number of
    /// that dial. It is empty if the line is about none.
    [[nodiscard]] std::string connection(const Record& r) const {
        if (r.connection == 0) return {};
        return name(r.dialled_by_peer ? r.peer : r.host) + ' ' + std::to_string(r.connection);
    }
    [[nodiscard]] std::string lanes(const Record& r) const {
        std::string out(hosts_.size() * width_, ' ');
        for (std::size_t i = 0; i < hosts_.size(); ++i) out[i * width_] = '|';
        if (r.host >= hosts_.size()) return out;
        const std::size_t at = r.host * width_;
        const bool leaves = r.mark == Mark::send || r.mark == Mark::dial;
        if (leaves && r.peer < hosts_.size() && r.peer != r.host) {
            const std::size_t to = r.peer * width_;
            for (std::size_t i = std::min(at, to) + 1; i < std::max(at, to); ++i) out[i] = '-';
            out[to > at ? to - 1 : to + 1] = to > at ? '>' : '<';
        }
        const bool wrong = r.mark == Mark::kill || r.mark == Mark::fault || r.mark == Mark::cut ||
                           r.mark == Mark::lost;
        out[at] = wrong ? 'X' : '*';
        return out;
    }
    [[nodiscard]] std::string text(const Record& r) const {
        const std::string who = name(r.host);
        switch (r.mark) {
            case Mark::function:
                return who + " runs a function";
            case Mark::start:
                return who + " starts, " + std::to_string(r.facts) + ". time";
            case Mark::kill:
                return who + " is killed";
            case Mark::pause:
                return who + " is frozen";
            case Mark::resume:
                return who + " continues";
            case Mark::dial:
                return who + " dials port " + std::to_string(r.facts);
            case Mark::send:
                return who + " sends " + bytes(r);
            case Mark::arrive:
                return arrival(r);
            case Mark::accept:
                return who + " accepts";
            case Mark::refuse:
                return who + " refuses";
            case Mark::hang_up:
                return who + " hangs up";
            case Mark::cut:
                return "the connection breaks";
            case Mark::block:
                if (r.facts >> 33 != 0) return "partition of " + who + " and all others";
                return r.facts >> 32 != 0 ? "partition from " + who + " to " + name32(r.facts)
                                          : "partition of " + who + " and " + name32(r.facts);
            case Mark::unblock:
                return "the partition ends";
            case Mark::fault:
                return "fault " + fault(r.facts);
            case Mark::fault_end:
                return "end of " + fault(r.facts);
            case Mark::heal:
                return "heal";
            case Mark::clock:
                return "the wall clock of " + who + " is set";
            case Mark::exit:
                return who + " ends itself with code " +
                       std::to_string(static_cast<std::int32_t>(r.facts));
            case Mark::disk:
                return who + ' ' + r.text;
            case Mark::lost:
                return who + " loses " + r.text;
        }
        return {};
    }
    [[nodiscard]] std::string arrival(const Record& r) const {
        static constexpr const char* kinds[] = {"a connection request",
                                                "the acceptance",
                                                "",
                                                "a ping",
                                                "a pong",
                                                "space in the window",
                                                "the orderly end",
                                                "a reset",
                                                "space for more output"};
        const std::uint64_t kind = r.facts >> 32;
        const bool data = kind == 2 || kind >= std::size(kinds);
        return name(r.host) + " gets " + (data ? bytes(r) : kinds[kind]);
    }
    static std::string bytes(const Record& r) {
        return std::to_string(r.facts & 0xFFFFFFFFU) + " bytes" + (r.text.empty() ? "" : ": ") +
               r.text;
    }
    [[nodiscard]] std::string name32(std::uint64_t host) const {
        return name(static_cast<std::uint32_t>(host));
    }
    [[nodiscard]] std::string fault(std::uint64_t key) const {
        for (const Scenario::Step& s : scenario_.steps()) {
            if (s.fault.key() == key) return to_cpp(s.fault);
        }
        return {};
    }

    std::vector<std::string> hosts_;
    const Scenario& scenario_;
    std::size_t width_ = 14;
};

}}}  // namespace belay::sim::detail
