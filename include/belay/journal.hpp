// SPDX-License-Identifier: MIT
/// \file belay/journal.hpp
/// Includes the main headers of the component journal: a durable log in files, which is a storage
/// for queues.
///
/// Tools for damaged journals are in belay/journal/journal_inspect.hpp and journal_salvage.hpp.
#pragma once

#include <belay/journal/advised_error.hpp>
#include <belay/journal/file_system_like.hpp>
#include <belay/journal/id.hpp>
#include <belay/journal/journal.hpp>
#include <belay/journal/journal_format.hpp>
#include <belay/journal/journal_options.hpp>
#include <belay/journal/log_like.hpp>
