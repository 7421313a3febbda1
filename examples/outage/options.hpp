// SPDX-License-Identifier: MIT
/// \file outage/options.hpp
/// The command line of the demo and of its parts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <belay/posix/endpoint.hpp>

namespace outage {

/// Lines per second; 0 is as fast as possible.
using Rate = double;

/// `outage [options]`: everything together.
struct DemoOptions {
    std::string file;  ///< empty: made from the project's own headers
    std::string dir;
    std::optional<std::uint64_t> seed;
    unsigned kills = 5;
    unsigned freezes = 2;
    unsigned client_kills = 2;
    std::optional<Rate> rate;  ///< none: the file in 35 seconds
};

/// How a part talks to the demo that started it; -1 when it was started alone.
struct ControlPipes {
    int report = -1;   ///< it writes reports here
    int command = -1;  ///< it reads commands here, and ends when this does
};

/// `outage server`.
struct ServerOptions {
    belay::posix::Endpoint listen{"127.0.0.1", 0};
    std::string dir;
    ControlPipes control;
};

/// `outage client`.
struct ClientOptions {
    belay::posix::Endpoint connect;
    std::string file;
    std::string dir;
    Rate rate = 0;
    ControlPipes control;
};

/// `--help`, of the part that was asked.
struct HelpText {
    std::string_view text;
};

using Options = std::variant<HelpText, DemoOptions, ServerOptions, ClientOptions>;

/// Reads a command line without the program's name.   Throws: Rejection.
[[nodiscard]] Options parse_options(const std::vector<std::string_view>& words,
                                    const std::string& default_dir);

}  // namespace outage
