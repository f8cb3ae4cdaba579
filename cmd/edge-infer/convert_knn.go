package main

import (
	"strings"

	"github.com/spf13/pflag"

	"github.com/edge-infer/edge-infer/convert"
	edge "github.com/edge-infer/edge-infer/runtime"
)

// addKNNFlags adds the flags of convert that only nearest neighbours and tables of data look at.
func addKNNFlags(flags *pflag.FlagSet, o *convert.KNNOptions) {
	flags.StringVar(&o.LabelColumn, "label-column", "", "table: `NAME` or number of the column to predict, or none (default: the one called class, label, target or species, or without numbers)")
	flags.StringVar(&o.Header, "header", "", "table: whether the first line names the columns, yes or no (default: found out)")
	flags.Lookup("header").NoOptDefVal = "yes"
	flags.StringVar(&o.Task, "task", "", "table: classify, regress or neighbors (default classify)")
	flags.StringVar(&o.Scale, "scale", "", "table: standard, minmax, robust, or l1, l2, max for the norm of each row (default none)")
	flags.IntVarP(&o.K, "neighbors", "k", 0, "neighbours: how many vote (default: what the source says, or 5)")
	flags.StringVar(&o.Metric, "metric", "", "neighbours: "+strings.Join(edge.Metrics(), ", ")+" (default: what the source says, or euclidean)")
	flags.Float64Var(&o.P, "p", 0, "neighbours: the `P` of minkowski")
	flags.StringVar(&o.Weights, "weights", "", "neighbours: votes are uniform, or weighted by distance")
	flags.StringVar(&o.Rows, "rows", "", "neighbours: float32 rounds the rows, which halves them and makes distances those of rounded rows (default: as in the source)")
	flags.BoolVar(&o.Compact, "compact", false, "neighbours: keep the int8 rows alone, a quarter of the size or less; results become approximate")
}
