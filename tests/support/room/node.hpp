// SPDX-License-Identifier: MIT
/// \file tests/support/room/node.hpp
/// Runs the scripts of tests/node/yjs, with the real Yjs, where node and its packages are.
#pragma once

#include <sys/stat.h>  // mkfifo

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "support/beside_program.hpp"
#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

#ifndef BELAY_NODE_SCRIPTS
#    define BELAY_NODE_SCRIPTS "tests/node"
#endif

namespace belay_test {

/// The real Yjs. `if (!yjs.is_here()) return;` skips a test, and prints a warning.
class RealYjs {
public:
    [[nodiscard]] bool is_here() const {
        const bool here = std::filesystem::exists(scripts() + "/node_modules/yjs") &&
                          std::system("node --version >/dev/null 2>&1") == 0;
        if (!here) WARN("SKIP: no node, or no yjs: npm ci --omit=dev in tests/node/yjs");
        return here;
    }

    /// Runs a script with these lines as input.   Returns: the lines that it prints.
    [[nodiscard]] std::vector<std::string> run(const std::string& script,
                                               const std::vector<std::string>& input = {}) {
        {
            std::ofstream file{directory_ / "input"};
            for (const std::string& line : input) file << line << '\n';
        }
        const std::string command = "node '" + scripts() + "'/" + script + " <" +
                                    (directory_ / "input") + " >" + (directory_ / "output");
        REQUIRE(std::system(command.c_str()) == 0);
        std::ifstream file{directory_ / "output"};
        std::vector<std::string> lines;
        for (std::string line; std::getline(file, line);) lines.push_back(line);
        return lines;
    }

    /// Runs a script that waits for answers. For each line that it prints, `answer(line)` returns
    /// what is written to its input; nothing if that is empty.
    template <class F>
    void talk(const std::string& script, F&& answer) {
        const std::string input = directory_ / "questions";
        REQUIRE(::mkfifo(input.c_str(), 0600) == 0);
        const std::string command = "node '" + scripts() + "'/" + script + " <" + input;
        std::FILE* const output = ::popen(command.c_str(), "r");
        REQUIRE(output != nullptr);
        {
            std::ofstream questions{input};
            std::string line;
            for (int c = std::fgetc(output); c != EOF; c = std::fgetc(output)) {
                if (c != '\n') {
                    line += static_cast<char>(c);
                    continue;
                }
                const std::string text = answer(std::exchange(line, {}));
                if (!text.empty()) questions << text << std::endl;
            }
        }
        REQUIRE(::pclose(output) == 0);
    }

private:
    [[nodiscard]] static std::string scripts() {
        return beside_program(BELAY_NODE_SCRIPTS) + "/yjs";
    }

    TemporaryDirectory directory_;
};

}  // namespace belay_test
