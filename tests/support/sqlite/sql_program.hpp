// SPDX-License-Identifier: MIT
/// \file tests/support/sqlite/sql_program.hpp
/// SqlProgram: another program that uses an SQLite database, like an application in another
/// language.
#pragma once

#include <string>

#include "support/server_process.hpp"

namespace belay_test {

/// A separate process with one connection, which is in autocommit mode.
class SqlProgram {
public:
    /// `timeout` is the number of seconds that it waits for locks.
    explicit SqlProgram(const std::string& path, int timeout = 10)
        : process_{{"python3", "-c", code, path, std::to_string(timeout)}} {
        process_.line_with("ready");
    }
    /// Runs one statement.   Returns: its rows as printed by Python, or "error: ..." .
    std::string run(const std::string& sql) {
        process_.send_command(sql);
        return process_.line_with("= ").substr(2);
    }

private:
    static constexpr const char* code = R"(
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=float(sys.argv[2]))
print("ready", flush=True)
for line in sys.stdin:
    try:
        print("=", db.execute(line).fetchall(), flush=True)
    except sqlite3.Error as error:
        print("= error:", error, flush=True)
)";
    ServerProcess process_;
};

}  // namespace belay_test
