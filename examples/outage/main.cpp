// SPDX-License-Identifier: MIT
// The outage demo: see examples/README.md.
#include "app.hpp"

int main(int count, char** words) { return outage::run<outage::FileLedger>(count, words); }
