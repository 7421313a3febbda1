// SPDX-License-Identifier: MIT
/// \file outage/app.hpp
/// The program: chooses between the demo and its parts, and turns what goes wrong into exit codes.
#pragma once

#include <csignal>
#include <exception>
#include <iostream>
#include <variant>

#include "client.hpp"
#include "demo.hpp"
#include "server.hpp"

namespace outage {

/// Runs what the command line asks for.   Returns: the exit code.
template <class Ledger>
int run(int count, char** words) {
    struct {
        int operator()(const HelpText& help) const {
            std::cout << help.text;
            return exit_ok;
        }
        int operator()(const DemoOptions& options) const { return run_demo(options); }
        int operator()(const ServerOptions& options) const { return Server<Ledger>{options}.run(); }
        int operator()(const ClientOptions& options) const { return Client{options}.run(); }
    } const part;
    // A pipe or socket without a reader is an error of the write, not the end of the process.
    std::signal(SIGPIPE, SIG_IGN);
    try {
        return std::visit(part, parse_options({words + 1, words + count}, default_directory()));
    } catch (const Rejection& rejection) {
        std::cerr << "outage: " << rejection.what() << std::endl;
    } catch (const std::exception& error) {
        std::cerr << "outage: " << error.what() << std::endl;
    }
    return exit_rejected;
}

}  // namespace outage
