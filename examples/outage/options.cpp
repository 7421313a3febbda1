// SPDX-License-Identifier: MIT
#include "options.hpp"

#include <charconv>
#include <cstdlib>

#include "rejection.hpp"

namespace outage {

namespace {

// In a file of its own, since examples/run shows it too, before anything is built.
constexpr std::string_view demo_help =
#include "demo_help.inc"
    ;

constexpr std::string_view server_help = R"(usage: outage server --port P --dir D [--host H]

The ledger server alone: appends each delivered operation to D/ledger.txt.

  --port P    the TCP port; 0 lets the system pick one, which is printed
  --dir D     for the ledger; created if it is missing
  --host H    the address to listen on (default 127.0.0.1: this machine only)
  --help      this text

It runs until SIGTERM or SIGINT. Exit code: 0, or 2 if it could not start or continue.
)";

constexpr std::string_view client_help =
    R"(usage: outage client --connect HOST:PORT --file F --dir D [--rate LINES]

The client alone: delivers each line of F to the server, exactly once and in order.

  --connect HOST:PORT   the server; it may start later
  --file F              the file to deliver; each line has at most 64 KiB
  --dir D               for the journal; created if it is missing. If the client is started again
                        with the same directory and file, it continues where it ended
  --rate LINES          lines per second (default 0: no limit)
  --help                this text

Exit code: 0 everything is acknowledged, 1 delivery is impossible, 2 the client could not start or
continue, 130 stopped by SIGTERM or SIGINT before the end.
)";

/// The words of a command line, taken one option at a time.
class Words {
public:
    Words(const std::vector<std::string_view>& words, std::size_t begin, std::string_view command)
        : words_{words}, next_{begin}, command_{command} {}

    /// The next option's name.   Returns: false at the end.
    bool next(std::string_view& name) {
        if (next_ == words_.size()) return false;
        name_ = words_[next_++];
        attached_.reset();
        const std::size_t equals = name_.find('=');
        if (name_.substr(0, 2) == "--" && equals != name_.npos) {
            attached_ = name_.substr(equals + 1);
            name_ = name_.substr(0, equals);
        }
        name = name_;
        return true;
    }
    [[nodiscard]] std::string_view value() {
        if (attached_) return *attached_;
        if (next_ == words_.size()) reject("needs a value");
        return words_[next_++];
    }
    [[nodiscard]] std::string path() {
        const std::string_view text = value();
        if (text.empty()) reject("needs a path");
        return std::string{text};
    }
    template <class T>
    [[nodiscard]] T number(T most) {
        const std::string_view text = value();
        T n{};
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
        if (text.empty() || error != std::errc{} || end != text.data() + text.size() || n > most) {
            reject("needs a whole number from 0 to " + std::to_string(most) + ", not '" +
                   std::string{text} + "'");
        }
        return n;
    }
    [[nodiscard]] Rate rate() {
        const std::string text{value()};
        char* end = nullptr;
        // Not std::from_chars, which reads only whole numbers with libc++ 16.
        const Rate r = std::strtod(text.c_str(), &end);
        const bool good = text.find_first_of("0123456789.") == 0 &&
                          text.find_first_not_of("0123456789.eE+-") == std::string::npos &&
                          end == text.c_str() + text.size() && (r == 0 || (r >= 0.01 && r <= 1e9));
        if (!good) {
            reject("needs lines per second, from 0.01 to 1000000000, or 0 for no limit; not '" +
                   text + "'");
        }
        return r;
    }
    [[noreturn]] void reject(const std::string& why) const {
        throw Rejection{std::string{name_} + " " + why + "; see " + std::string{command_} +
                        " --help"};
    }
    [[noreturn]] void unknown() const {
        throw Rejection{"unknown option '" + std::string{name_} + "'; see " +
                        std::string{command_} + " --help"};
    }
    void require(bool given, std::string_view name) const {
        if (given) return;
        throw Rejection{std::string{command_} + " needs " + std::string{name} + "; see " +
                        std::string{command_} + " --help"};
    }

private:
    const std::vector<std::string_view>& words_;
    std::size_t next_;
    std::string_view command_;
    std::string_view name_{};
    std::optional<std::string_view> attached_{};
};

constexpr unsigned acts_max = 1000;
constexpr int descriptor_max = 1 << 20;

Options parse_demo(Words words, const std::string& default_dir) {
    DemoOptions o;
    o.dir = default_dir;
    for (std::string_view name; words.next(name);) {
        if (name == "--help" || name == "-h") return HelpText{demo_help};
        if (name == "--file")
            o.file = words.path();
        else if (name == "--dir")
            o.dir = words.path();
        else if (name == "--seed")
            o.seed = words.number<std::uint64_t>(~std::uint64_t{0});
        else if (name == "--kills")
            o.kills = words.number(acts_max);
        else if (name == "--freezes")
            o.freezes = words.number(acts_max);
        else if (name == "--client-kills")
            o.client_kills = words.number(acts_max);
        else if (name == "--rate")
            o.rate = words.rate();
        else
            words.unknown();
    }
    return o;
}

/// Options that the demo gives its children; not for people, and so not in the help.
bool parse_control(std::string_view name, Words& words, ControlPipes& control) {
    if (name == "--report-fd")
        control.report = words.number(descriptor_max);
    else if (name == "--command-fd")
        control.command = words.number(descriptor_max);
    else
        return false;
    return true;
}

Options parse_server(Words words) {
    ServerOptions o;
    bool port_given = false;
    for (std::string_view name; words.next(name);) {
        if (name == "--help" || name == "-h") return HelpText{server_help};
        if (name == "--port") {
            o.listen.port = words.number<std::uint16_t>(65535);
            port_given = true;
        } else if (name == "--host")
            o.listen.host = words.path();
        else if (name == "--dir")
            o.dir = words.path();
        else if (!parse_control(name, words, o.control))
            words.unknown();
    }
    words.require(port_given, "--port");
    words.require(!o.dir.empty(), "--dir");
    return o;
}

Options parse_client(Words words) {
    ClientOptions o;
    for (std::string_view name; words.next(name);) {
        if (name == "--help" || name == "-h") return HelpText{client_help};
        if (name == "--connect") {
            const std::string_view text = words.value();
            const auto endpoint = belay::posix::Endpoint::parse(text);
            if (!endpoint || endpoint->port == 0) {
                words.reject("needs HOST:PORT, as 127.0.0.1:4000 or [::1]:4000, not '" +
                             std::string{text} + "'");
            }
            o.connect = *endpoint;
        } else if (name == "--file")
            o.file = words.path();
        else if (name == "--dir")
            o.dir = words.path();
        else if (name == "--rate")
            o.rate = words.rate();
        else if (!parse_control(name, words, o.control))
            words.unknown();
    }
    words.require(o.connect.port != 0, "--connect");
    words.require(!o.file.empty(), "--file");
    words.require(!o.dir.empty(), "--dir");
    return o;
}

}  // namespace

Options parse_options(const std::vector<std::string_view>& words, const std::string& default_dir) {
    const std::string_view first = words.empty() ? std::string_view{} : words.front();
    if (first == "server") return parse_server(Words{words, 1, "outage server"});
    if (first == "client") return parse_client(Words{words, 1, "outage client"});
    if (!first.empty() && first.front() != '-') {
        throw Rejection{"unknown command '" + std::string{first} +
                        "': use server, client, or no command for the demo; see outage --help"};
    }
    return parse_demo(Words{words, 0, "outage"}, default_dir);
}

}  // namespace outage
